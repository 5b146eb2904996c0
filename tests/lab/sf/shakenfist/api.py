# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sf-api"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import flask
import grpc

from shakenfist import config, process
from shakenfist._release import SCHEMA, VERSION
from shakenfist.client import Client
from shakenfist.health import READINESS

TOKEN_SECONDS = 900

app = flask.Flask('shakenfist')
_client = []


def database(method, **request):
    if not _client:
        _client.append(Client())  # in the worker, after the fork
    return _client[0].call(method, **request)


def text(body, status=200):
    return flask.Response(body, status, mimetype='text/plain')


def error(status, message):
    return {'error': message, 'status': status}, status


@app.errorhandler(grpc.RpcError)
def database_failed(e):
    process.log(f'{flask.request.method} {flask.request.path}: {e.code()} {e.details()}')
    return error(500, f'sf-database: {e.code().name}: {e.details()}')


@flask.got_request_exception.connect_via(app)
def unexpected(sender, exception, **kwargs):
    process.record_exception('sf-api', exception)


# Tokens are JWTs, signed with HS256.

def _key():
    key = config.get('SYSTEM_KEY')
    if not key:
        with open('/etc/sf/shakenfist.json', encoding='utf-8') as f:
            key = json.load(f)['key']
    return key


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def _sign(signed):
    secret = (config.get('AUTH_SECRET_SEED') or _key()).encode()
    return _b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())


def make_token(namespace):
    head = _b64(json.dumps({'alg': 'HS256', 'typ': 'JWT'}).encode())
    body = _b64(json.dumps({'sub': namespace, 'exp': int(time.time()) + TOKEN_SECONDS}).encode())
    return f'{head}.{body}.{_sign(head + "." + body)}'


def authorized():
    scheme, _space, token = flask.request.headers.get('Authorization', '').partition(' ')
    try:
        signed, _dot, signature = token.rpartition('.')
        claims = json.loads(base64.urlsafe_b64decode(signed.split('.')[1] + '==')) if scheme == 'Bearer' else {}
    except (IndexError, ValueError):
        return False
    return bool(claims) and hmac.compare_digest(_sign(signed), signature) and claims['exp'] > time.time()


UNAUTHORIZED = error(401, 'missing or invalid token')


@app.get('/livez')
def livez():
    return text('ok')


@app.get('/readyz')
@app.get('/healthz')
def readyz():
    return text('ready') if READINESS.is_ready() else text('not ready', 503)


@app.get('/')
def index():
    return text(f'Shaken Fist REST API service {VERSION}\n')


@app.post('/auth')
def auth():
    r = flask.request.get_json(silent=True) or {}
    if r.get('namespace') != 'system' or not hmac.compare_digest(str(r.get('key', '')), _key()):
        return UNAUTHORIZED
    return {'access_token': make_token('system')}


@app.get('/auth/namespaces')
def namespaces():
    return ['system'] if authorized() else UNAUTHORIZED


@app.get('/nodes')
def nodes():
    return database('list_nodes')['nodes'] if authorized() else UNAUTHORIZED


@app.delete('/nodes/<name>')
def delete_node(name):
    if not authorized():
        return UNAUTHORIZED
    if name not in [n['name'] for n in database('list_nodes')['nodes']]:
        return error(404, 'node not found')
    return database('set_node_state', name=name, state='deleted')


# What follows is the lab's, no part of Shaken Fist.

@app.post('/lab/notes')
def post_note():
    r = flask.request.get_json(silent=True) or {}
    if not r.get('id'):
        return error(400, 'a note needs an id')
    return database('write_note', id=str(r['id']), text=str(r.get('text', '')))


@app.get('/lab/notes')
def get_notes():
    return database('list_notes')


@app.get('/lab/slow')
def slow():
    seconds = min(120.0, flask.request.args.get('seconds', 1.0, float))
    time.sleep(seconds)
    return {'seconds': seconds}


@app.post('/lab/nodes')
def post_node():
    """A node's row as one likes it: name, ip, release, state, age (seconds since it was last seen), daemons."""
    r = flask.request.get_json()
    state, daemons = r.pop('state', 'created'), r.pop('daemons', {})
    database('see_node', **r)
    for daemon, daemon_state in daemons.items():
        database('set_daemon_state', name=r['name'], daemon=daemon, state=daemon_state)
    return database('set_node_state', name=r['name'], state=state)


if SCHEMA >= 2:
    # The calls that an older sf-database cannot answer.
    @app.get('/lab/colours')
    def get_colours():
        return database('list_colours')

    @app.post('/lab/colours')
    def post_colour():
        r = flask.request.get_json()
        return database('set_colour', id=r['id'], colour=r['colour'])
