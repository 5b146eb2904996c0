# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database of Neutron, from /etc/neutron/neutron.conf."""

import configparser
import contextlib
import importlib.metadata
import urllib.parse

import pymysql
from dragonflow import _release

VERSION = importlib.metadata.version('neutron')
TRAITS = _release.TRAITS


@contextlib.contextmanager
def connect(path='/etc/neutron/neutron.conf'):
    config = configparser.ConfigParser(interpolation=None)
    config.read(path)
    url = urllib.parse.urlsplit(config['database']['connection'])
    connection = pymysql.connect(host=url.hostname, port=url.port or 3306, user=url.username, password=url.password,
                                 database=url.path.lstrip('/'), charset='utf8mb4', connect_timeout=5)
    try:
        yield connection
    finally:
        connection.close()
