# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import time

from cinder.backup import driver

from lab_cinder import seconds


class LabBackupDriver(driver.BackupDriver):
    """Backups of nothing; that of the name slow-40 takes 40 s."""

    def backup(self, backup, volume_file, backup_metadata=False):
        time.sleep(seconds(backup.display_name))

    def restore(self, backup, volume_id, volume_file, volume_is_new):
        pass

    def delete_backup(self, backup):
        pass
