# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import time

from cinder.volume import driver

from lab_cinder import seconds


class LabDriver(driver.VolumeDriver):
    """Volumes of which there is nothing; that of the name slow-40 takes 40 s to be created."""

    VERSION = "1.0"

    def create_volume(self, volume):
        time.sleep(seconds(volume.display_name))

    def _update_volume_stats(self):
        self._stats = dict(volume_backend_name=self.configuration.safe_get("volume_backend_name"), vendor_name="lab",
                           driver_version=self.VERSION, storage_protocol="local", total_capacity_gb=10000,
                           free_capacity_gb=10000, reserved_percentage=0)

    def initialize_connection(self, volume, connector):
        """The same small file for all: a backup opens it."""
        return dict(driver_volume_type="local", data=dict(device_path="/var/lib/cinder/volume"))

    def _nothing(self, *args, **kwargs):
        pass

    check_for_setup_error = delete_volume = extend_volume = create_cloned_volume = _nothing
    create_snapshot = delete_snapshot = create_volume_from_snapshot = _nothing
    ensure_export = create_export = remove_export = terminate_connection = _nothing
