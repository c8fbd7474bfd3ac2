"""nginx: plain, and with the token looked up by Lua, in Redis at each request or cached in a shared dictionary."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import free_port
from benchmarks.stage import NGINX, Running, Stage, nginx_head, nginx_temporary, start_nginx
from benchmarks.tokens import SCOPES

_MODULES = Path("/usr/lib/nginx/modules")
_LUA_REDIS = Path("/usr/share/lua/5.1/nginx/redis.lua")
_LUA = Path(__file__).parent / "lua"


class PlainNginx:
    """A plain proxy with an access log; it authorizes nobody."""

    name = "nginx"
    authorizes = False
    scopes = False

    def missing(self) -> str | None:
        return None if Path(NGINX).exists() else "apt-get install -y --no-install-recommends nginx"

    def start(self, stage: Stage) -> Running:
        folder, port = stage.bench.folder(self.name), free_port()
        config = _CONFIG.format(
            head=nginx_head(folder, self._modules()), temporary=nginx_temporary(folder), folder=folder, port=port,
            upstream=stage.upstream_port, init=self._init(stage), headers=self._headers(), access=self._access("s00"),
            routes=self._routes(), listen=self._listen(),
        )
        process = start_nginx(stage.bench, folder, config, stage.bench.cores.proxy)
        stage.bench.wait_for_port(port, process)
        return Running(self.name, port, process)

    def _listen(self) -> str:
        return ""

    def _modules(self) -> str:
        return ""

    def _init(self, stage: Stage) -> str:
        return ""

    def _headers(self) -> str:
        return ""

    def _access(self, scope: str) -> str:
        return ""

    def _routes(self) -> str:
        return ""


class LuaRedis(PlainNginx):
    """nginx + Lua with one Redis look-up for each request, over a kept-alive TCP connection."""

    name = "nginx+lua+redis"
    authorizes = True
    scopes = True
    script = "redis.lua"

    def missing(self) -> str | None:
        if super().missing() or not (_MODULES / "ngx_http_lua_module.so").exists():
            return "apt-get install -y --no-install-recommends nginx libnginx-mod-http-lua"
        return None if _LUA_REDIS.exists() else "apt-get install -y --no-install-recommends lua-nginx-redis"

    def _modules(self) -> str:
        return f"load_module {_MODULES}/ndk_http_module.so;\nload_module {_MODULES}/ngx_http_lua_module.so;\n"

    def _init(self, stage: Stage) -> str:
        return (
            f'  lua_package_path "{_LUA}/?.lua;;";\n  lua_shared_dict verdicts 64m;\n'
            f"  init_by_lua_block {{ STORE_PORT = {stage.store_port}; guard = require '{self.script[:-4]}' }}\n"
        )

    def _headers(self) -> str:
        return (
            '      proxy_set_header Authorization "";\n      proxy_set_header X-Client-Id $client;\n'
            "      proxy_set_header X-Client-Scopes $scopes;\n      proxy_set_header X-Request-Id $request_id;\n"
        )

    def _access(self, scope: str) -> str:
        return f'      set $client ""; set $scopes "";\n      access_by_lua_block {{ guard("{scope}") }}\n'

    def _routes(self) -> str:
        return "".join(
            f"    location /r{scope[1:]}/ {{\n{_PASS}{self._headers()}{self._access(scope)}    }}\n" for scope in SCOPES
        )


class LuaCached(LuaRedis):
    """nginx + Lua with the verdict kept in ``lua_shared_dict``: nothing tells it of a revocation before its time is over."""

    name = "nginx+lua+dict"
    script = "cached.lua"


class TunnelNginx(PlainNginx):
    """Plain nginx that also relays WebSockets below ``/ws/`` to a port."""

    name = "nginx+websocket"

    def __init__(self, echo: int) -> None:
        self._echo = echo

    def _routes(self) -> str:
        return _TUNNEL.format(echo=self._echo)


class TlsNginx(PlainNginx):
    """Plain nginx behind TLS, with a certificate and its key."""

    name = "nginx+tls"

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key

    def start(self, stage: Stage) -> Running:
        running = super().start(stage)
        running.scheme = "https"
        return running

    def _listen(self) -> str:
        return f" ssl;\n    ssl_certificate {self._certificate};\n    ssl_certificate_key {self._key}"


_TUNNEL = """    location /ws/ {{
      proxy_pass http://127.0.0.1:{echo};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_read_timeout 600s;
    }}
"""
_PASS = """      proxy_pass http://upstream;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
"""
_CONFIG = (
    """{head}
http {{
{temporary}  access_log {folder}/access.log combined;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
{init}  upstream upstream {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096{listen};
    client_max_body_size 0;
    location / {{
"""
    + _PASS
    + """{headers}{access}    }}
{routes}  }}
}}
"""
)
