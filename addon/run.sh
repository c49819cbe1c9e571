#!/bin/sh
# The configuration is the user's own file in the add-on's folder. If it names no broker, the one of Home Assistant is
# used, whose address and login the Supervisor provides.
set -eu
config=/config/config.yaml
if [ ! -e "$config" ]; then
    echo "Put config.yaml into the add-on's configuration folder (addon_configs/…_threecx2mqtt), and start again." >&2
    exit 78
fi
if ! grep -q '^mqtt:' "$config" && [ -n "${SUPERVISOR_TOKEN:-}" ]; then
    eval "$(python3 - <<'PYTHON'
import json, os, shlex, urllib.request

request = urllib.request.Request(
    "http://supervisor/services/mqtt", headers={"Authorization": f"Bearer {os.environ['SUPERVISOR_TOKEN']}"}
)
with urllib.request.urlopen(request, timeout=10) as answer:
    broker = json.load(answer)["data"]
for name in ("host", "port", "username", "password"):
    if broker.get(name):
        print(f"export THREECX2MQTT_MQTT__{name.upper()}={shlex.quote(str(broker[name]))}")
PYTHON
)"
fi
exec 3cx2mqtt run -c "$config"
