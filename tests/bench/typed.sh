#!/usr/bin/env bash
# The documented procedure as it is typed over ssh, node after node; tools/bench measures the collection against it.
#   typed.sh SSH-CONFIG RELEASE ADDRESS...     the addresses of the database tier come first
set -euo pipefail
config=$1 release=$2
shift 2

on() { ssh -n -F "$config" "$node" "sudo sh -c '$1'"; }

first=$1
for node in "$@"; do
  [ "$node" = "$first" ] || sleep 10
  on "systemctl stop sf-api"
  on "/srv/shakenfist/venv/bin/python -m pip install --quiet --upgrade shakenfist==$release"
  [ "$node" != "$first" ] || on "/srv/shakenfist/venv/bin/sf-ctl ensure-mariadb-schema"
  on "systemctl restart sf.target"
  on "until curl --silent --fail http://localhost:13000/readyz; do sleep 1; done"
done
