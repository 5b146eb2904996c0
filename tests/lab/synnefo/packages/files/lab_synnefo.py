"""What the programs of the lab's Synnefo have in common: settings, the database, the schema that they need."""

import glob
import os
import subprocess

RELEASE = "@release@"
APPLICATIONS = "/usr/share/synnefo/applications"
# By application and release, what its schema is brought to. South did it until 0.18.1, Django itself since.
MIGRATIONS = {
    "astakos": [
        ("0.18.1", "0001_initial", "CREATE TABLE im_component (name VARCHAR(64) PRIMARY KEY, base_url VARCHAR(255), "
                                   "url VARCHAR(255), registered INT NOT NULL DEFAULT 1)"),
        ("0.19", "0002_component_published", "ALTER TABLE im_component ADD COLUMN published INT NOT NULL DEFAULT 1"),
    ],
    "cyclades": [
        ("0.18.1", "0001_initial", "CREATE TABLE db_ipaddresslog (id INT AUTO_INCREMENT PRIMARY KEY, "
                                   "address VARCHAR(64), server_id INT, owner VARCHAR(64))"),
        ("0.19", "0002_ip_owner_history", "ALTER TABLE db_ipaddresslog ADD COLUMN released DATETIME NULL"),
    ],
    "pithos": [
        ("0.18.1", "0001_initial", "CREATE TABLE pithos_account (name VARCHAR(64) PRIMARY KEY, bytes BIGINT)"),
        ("0.19", "0002_account_state", "ALTER TABLE pithos_account ADD COLUMN state INT NOT NULL DEFAULT 0"),
    ],
}
TABLES = {"astakos": "im_component", "cyclades": "db_ipaddresslog", "pithos": "pithos_account"}
HISTORY = {"0.18.1": "south_migrationhistory", "0.19": "django_migrations"}
RELEASES = list(HISTORY)


class DatabaseError(Exception):
    pass


def settings():
    """The settings, as the files of /etc/synnefo set them, one after the other."""
    found = {"ALLOWED_HOSTS": ["*"]}
    for path in sorted(glob.glob("/etc/synnefo/*.conf")):
        with open(path, encoding="utf-8") as stream:
            exec(compile(stream.read(), path, "exec"), found)
    return found


def client(*options):
    """The command of a client of the database."""
    database = settings()["DATABASES"]["default"]
    # Everybody sees arguments.
    os.environ["MYSQL_PWD"] = database["PASSWORD"]
    return ["mariadb", "--batch", "--skip-column-names", "--connect-timeout=5", "-h", database["HOST"],
            "-u", database["USER"], *options, database["NAME"]]


def ask(statement):
    """The rows of an answer."""
    done = subprocess.run(client("-e", statement), capture_output=True, text=True, check=False)
    if done.returncode:
        raise DatabaseError(done.stderr.strip())
    return [line.split("\t") for line in done.stdout.splitlines()]


def applications():
    """The applications that are installed here, and what each one's package says."""
    found = {}
    for name in sorted(os.listdir(APPLICATIONS)) if os.path.isdir(APPLICATIONS) else ():
        with open(f"{APPLICATIONS}/{name}", encoding="utf-8") as stream:
            found[name] = stream.read().split()
    return found


def applied(release):
    """The migrations that the history of a release has."""
    if not ask(f"SHOW TABLES LIKE '{HISTORY[release]}'"):
        return []
    return [tuple(row) for row in ask(f"SELECT app, name FROM {HISTORY[release]}")]


def schema_problem():
    """Why the code that is installed does not fit the schema; empty if it does."""
    new = applied("0.19")
    for name in applications():
        migrated = any(app == name and migration != "0001_initial" for app, migration in new)
        if migrated != (RELEASE == "0.19"):
            return f"{name} is {RELEASE}, and its schema is {'later' if migrated else 'earlier'}"
    return ""


def hold(application):
    """A connection in the middle of a transaction on a table of an application, as a service that works has them."""
    process = subprocess.Popen(client("--unbuffered"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(f"START TRANSACTION;\nSELECT COUNT(*) FROM {TABLES[application]};\n")
    process.stdin.flush()
    return process
