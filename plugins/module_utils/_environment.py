# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

import configparser
import ipaddress
import re
from urllib.parse import unquote

from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
BLANKS = " \t\n\r"
ENDS = "\n\r"
# What systemd takes for no UTF-8: a byte as the error handler surrogateescape reads it, and the characters that Unicode
# has set aside for no text at all.
FOREIGN = re.compile("[\udc80-\udcff\ufdd0-\ufdef{}]".format("".join(
    chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))))
SECRET = re.compile(r"PASSW|SECRET|TOKEN|CREDENTIAL|(?:^|_)KEY(?:_|$)", re.IGNORECASE)


class EnvironmentFile:
    """Reads the text of an EnvironmentFile character by character, with the rules and states of systemd.

    Quotes may begin anywhere after blanks and end anywhere, a backslash at the end of a line continues it, blanks
    around C(=) and at the end of an unquoted value do not count, and there is no comment behind a value.
    """

    def __init__(self, text, source):
        self.source, self.state = source, self.before_key
        self.variables, self.number, self.begun = {}, 1, 1
        self.key = self.value = ""
        # How much of the value stays, whatever blanks follow: what is quoted or escaped.
        self.kept = 0
        # What follows a backslash at the end of a comment.
        self.swallowed = ""
        if "\0" in text:
            raise RollingError(f"line {text.count(chr(10), 0, text.index(chr(0))) + 1} of {source} has a NUL byte, so "
                               "systemd refuses the file: correct that line")
        for sign in text:
            self.state = self.state(sign) or self.state
            self.number += sign == "\n"
        if self.state in (self.single, self.double, self.double_escape):
            raise RollingError(f"line {self.begun} of {source} ({self.name()}) has an unbalanced quote: correct that "
                               "line")
        if self.state == self.in_key:
            raise self.no_assignment()
        if self.state in (self.before_value, self.in_value, self.escape):
            self.push()

    def no_assignment(self):
        """The error for a line. The line itself is not quoted: it may hold a password."""
        return RollingError(f'line {self.begun} of {self.source} is not of the form KEY="value", without export before '
                            "it: correct that line")

    def name(self):
        """The name of the variable; an error where it cannot be one."""
        name = self.key.rstrip(BLANKS)
        if not NAME.match(name):
            raise self.no_assignment()
        return name

    def push(self):
        if FOREIGN.search(self.value):
            raise RollingError(f"line {self.begun} of {self.source} ({self.name()}) has a byte or a character that "
                               "is not UTF-8 text, so systemd refuses the file: correct that line")
        self.variables[self.name()] = self.value[:self.kept] + self.value[self.kept:].rstrip(BLANKS)

    def keep(self, sign):
        self.value += sign
        self.kept = len(self.value)

    # Each state takes a sign, and returns the next state where it is another one.

    def before_key(self, sign):
        if sign in "#;":
            self.swallowed = "#"
            return self.comment
        if sign in BLANKS:
            return None
        self.key, self.value, self.kept, self.begun = sign, "", 0, self.number
        return self.in_key

    def comment(self, sign):
        if sign == "=" and NAME.match(self.swallowed.strip(BLANKS)):
            raise RollingError(f"line {self.number} of {self.source} comes after a comment that ends in a backslash: "
                               "whether it counts depends on the version of systemd, so remove that backslash")
        self.swallowed += sign
        return self.comment_escape if sign == "\\" else self.before_key if sign in ENDS else None

    def comment_escape(self, sign):
        self.swallowed = "" if sign in ENDS else "#"
        return self.comment

    def in_key(self, sign):
        if sign in ENDS:
            raise self.no_assignment()
        if sign == "=":
            return self.before_value
        self.key += sign
        return None

    def before_value(self, sign):
        if sign in ENDS:
            self.push()
            return self.before_key
        quote = {"'": self.single, '"': self.double, "\\": self.escape}.get(sign)
        if quote or sign in BLANKS:
            return quote
        self.value += sign
        return self.in_value

    def in_value(self, sign):
        if sign in ENDS:
            self.push()
            return self.before_key
        if sign == "\\":
            self.kept = len(self.value)
            return self.escape
        self.value += sign
        return None

    def escape(self, sign):
        if sign not in ENDS:
            self.keep(sign)
        return self.in_value

    def single(self, sign):
        if sign == "'":
            return self.before_value
        self.keep(sign)
        return None

    def double(self, sign):
        if sign == '"':
            return self.before_value
        if sign == "\\":
            return self.double_escape
        self.keep(sign)
        return None

    def double_escape(self, sign):
        if sign in '"\\`$':
            self.keep(sign)
        elif sign != "\n":
            self.keep("\\" + sign)
        return self.double


def parse_environment_file(text, source="the configuration"):
    """Parse a systemd EnvironmentFile, to the values that systemd would set.

    :returns: the variables as a dict of strings.
    :raises RollingError: for what systemd passes over or nobody can mean: a line without an assignment, a name that is
        none, as in C(export A=b), and a quote that does not end.
    """
    return EnvironmentFile(text, source).variables


def plain_host(host):
    """A host without brackets; an address in its one short form, so that it can be compared."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return bare


def read_environment_file(path):
    """Read and parse the EnvironmentFile at C(path)."""
    try:
        # As it is: a carriage return ends a line, too, but a backslash continues only one of the two ends. In a comment
        # systemd takes any bytes.
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as handle:
            text = handle.read()
    except OSError as exc:
        raise RollingError(f"cannot read {path}: {exc.strerror or exc}") from exc
    return parse_environment_file(text, path)


def hide_secrets(words, variables):
    """The words of others, without the values of variables whose names look like those of secrets."""
    # The longest first: one may be a part of another.
    secrets = [value for key, value in variables.items() if value and SECRET.search(key)]
    for value in sorted(secrets, key=len, reverse=True):
        words = words.replace(value, "********")
    return words


def settings(variables, prefix=""):
    """The variables by name without the prefix. With both spellings present the prefixed one counts."""
    found = {key: value for key, value in variables.items() if not (prefix and key.startswith(prefix))}
    found.update({key[len(prefix):]: value for key, value in variables.items() if prefix and key.startswith(prefix)})
    return found


DATABASE_OPTIONS = dict(config=dict(type="path", required=True), prefix=dict(type="str", default=""))

NO_ANSWER = ("no answer", "see that MariaDB runs there and that no firewall is between; the address is {key}HOST and "
                          "{key}PORT in {config}")
DENIED = ("access denied", "correct {key}USER and {key}PASSWORD in {config}")
# What the numbers of MariaDB's errors mean when a connection fails, and what to do then.
UNREACHABLE = {
    1040: ("too many connections", "wait until fewer are open, or raise max_connections"),
    1044: ("no access to the database {name}", "correct {key}DATABASE in {config}, or grant access to it"),
    1045: DENIED,
    1049: ("there is no database {name}", "correct {key}DATABASE in {config}"),
    1130: ("it lets nobody in from here", "create that user for the address of this node, too"),
    1698: DENIED,
    2002: NO_ANSWER,
    2003: NO_ANSWER,
    2005: NO_ANSWER,
    2013: NO_ANSWER,
    2026: ("no TLS", "if the server has none, put disable-ssl-verify-server-cert under [client] in "
                     "/etc/mysql/mariadb.conf.d/50-client.cnf"),
}


# As SQLAlchemy has it: a password may hold whatever is no @.
URL = re.compile(r"(?P<scheme>[\w+]+)://(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
                 r"(?:\[(?P<bare>[^/?]+)\]|(?P<host>[^/:?]*))(?::(?P<port>[^/?]*))?(?:/(?P<name>[^?]*))?")


def read_ini(path):
    """An INI file, such as those of OpenStack. An error names the line, and does not quote it: it may hold a secret."""
    # A DEFAULT section is one like the others there.
    parser = configparser.ConfigParser(default_section="", interpolation=None, strict=False)
    try:
        with open(path, encoding="utf-8") as handle:
            parser.read_file(handle)
    except OSError as exc:
        raise RollingError(f"cannot read {path}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise RollingError(f"cannot read {path}: it has a byte that is not UTF-8") from exc
    except configparser.ParsingError as exc:
        number = exc.lineno if hasattr(exc, "lineno") else exc.errors[0][0]
        raise RollingError(f"cannot read {path}: line {number} is neither [SECTION] nor of the form KEY = VALUE, in a "
                           "section: correct that line") from None
    return parser


def read_option(path, place):
    """An option of an INI file as oslo.config reads it, but for the names of other options in it; empty if not set.

    :arg place: C(SECTION/OPTION).
    """
    section, dummy, option = place.partition("/")
    value = read_ini(path).get(section, option, fallback="").strip()
    if value[:1] in ("'", '"') and value[0] == value[-1]:
        value = value[1:-1]
    # Of a $ that is followed by a letter oslo.config makes the value of another option.
    return value.replace(r"\$", "$$").replace("$$", "$")


def settings_of_url(url, place):
    """The parts of the URL of a database, C(DIALECT+DRIVER://USER:PASSWORD@HOST:PORT/NAME?...), by their settings.

    :arg place: where the URL is, in words. Nothing of the URL is in an error but how it begins.
    """
    found = URL.match(url)
    if url and (not found or found.group("scheme").partition("+")[0] not in ("mysql", "mariadb")):
        begin = f": it begins with {found.group('scheme')}://" if found else ""
        raise RollingError(f"{place} is no URL of a MariaDB or MySQL server{begin}")
    parts = {key: part or "" for key, part in found.groupdict().items()} if found else dict.fromkeys(URL.groupindex, "")
    return dict(MARIADB_HOST=parts["bare"] or parts["host"], MARIADB_PORT=parts["port"],
                MARIADB_USER=unquote(parts["user"]), MARIADB_PASSWORD=unquote(parts["password"]),
                MARIADB_DATABASE=unquote(parts["name"]))


class Database:
    """How the services of a node reach MariaDB, by its configuration file.

    :arg connection: where an INI file has the URL of the database, as C(SECTION/OPTION); other files have a variable
        for each part of it.
    :raises RollingError: if the file cannot be read or names no MariaDB, as on a node that is no database node.
    """

    def __init__(self, config, prefix="", connection=""):
        self.config = config
        self.key = f"{connection} " if connection else prefix + "MARIADB_"
        if connection:
            found = settings_of_url(read_option(config, connection), f"{connection} in {config}")
        else:
            found = settings(read_environment_file(config), prefix)
        self.host = found.get("MARIADB_HOST")
        if not self.host:
            raise RollingError(f"{config} does not set {self.key}HOST, so this is no database node: run this on a node "
                               "of the database tier")
        port = found.get("MARIADB_PORT") or "3306"
        if not re.match(r"[0-9]{1,5}$", port) or not 0 < int(port) < 65536:
            raise RollingError(f"{self.key}PORT in {config} is {port!r}, which is no port: correct it")
        self.port = int(port)
        default = "" if connection else "shakenfist"
        self.user = found.get("MARIADB_USER") or default
        self.password = found.get("MARIADB_PASSWORD") or ""
        self.name = found.get("MARIADB_DATABASE") or default
        if not self.user or not self.name:
            raise RollingError(f"{connection} in {config} names no {'database' if self.user else 'user'}: correct it")

    def unreachable(self, code, words):
        """The error for a connection that failed.

        :arg code: the number of MariaDB's error, None if there is none.
        :arg words: what the library or program said.
        """
        reason, fix = UNREACHABLE.get(code, ("failed", "look at {key}* in {config}"))
        facts = dict(key=self.key, config=self.config, name=self.name)
        return RollingError(f"cannot reach MariaDB at {self.host}:{self.port} as {self.user}: "
                            f"{reason.format(**facts)}: {self.hide(words)}. To fix it: {fix.format(**facts)}")

    def hide(self, words):
        """The words of others, without the password should it be among them."""
        words = words.strip()
        return words.replace(self.password, "********") if self.password else words
