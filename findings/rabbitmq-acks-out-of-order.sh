#!/bin/sh
# RabbitMQ 3.10.8 (Debian bookworm, rabbitmq-server 3.10.8-1.1+deb12u1, erlang 25) with pika 1.4.4: what an acknowledgement
# costs depends on how many unacknowledged messages its channel holds before it.
#
# One channel holds 60,000 messages of a classic queue, as a consumer with a large prefetch does. 300 of them are
# acknowledged one by one, first the oldest, then 300 in the middle, then the youngest, and RabbitMQ is asked something on
# the same channel, which it answers when it is through. It looks for each delivery tag from the oldest message on and puts
# the list together anew (collect_acks in rabbit_channel.erl, the same in 4.x): out of order, the time grows with what is
# held, not with what is acknowledged. Whoever settles a few messages out of many should hold few.
#
# Seen: the middle ones took 64 times as long as the oldest, the youngest 185 times (on a busy machine 23 and 71)
#
# Needs Debian 12 with apt-get; nothing is installed in the system.
set -eu
folder=$(mktemp -d)
nodes=
end() {
    for node in $nodes; do kill -9 "-$node" 2>/dev/null || :; done
    pkill -9 -f "^$folder/" || : # epmd, which has left the node's group
    rm -rf "$folder"
}
trap end EXIT

mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial" "$folder/home"
apt() {
    apt-get -qq -o Dir::State="$folder/state" -o Dir::Cache="$folder/cache" -o Dir::State::status=/var/lib/dpkg/status \
        -o APT::Sandbox::User= -o Debug::NoLocking=1 "$@" >/dev/null
}
apt update
apt install --yes --download-only --no-install-recommends --reinstall rabbitmq-server=3.10.8-1.1+deb12u1
for package in "$folder"/cache/archives/*.deb; do
    case $package in */rabbitmq-server_* | */erlang-* | */libsctp* | */libodbc* | */libltdl*) dpkg -x "$package" "$folder/tree" ;; esac
done
erlang=$folder/tree/usr/lib/erlang
for script in "$erlang"/bin/erl "$erlang"/erts-*/bin/erl; do
    sed -i "s|^\( *ROOTDIR=\)/.*|\1$erlang|" "$script"
done
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir pika==1.4.4

set -- $(python3 -c 'import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(each.getsockname()[1] for each in s))')
: >"$folder/enabled_plugins"
echo "listeners.tcp.default = 127.0.0.1:$1" >"$folder/node.conf"
export HOME="$folder/home" PATH="$erlang/bin:$PATH" ERL_EPMD_PORT="$3" ERL_EPMD_ADDRESS=127.0.0.1
export LD_LIBRARY_PATH="$folder/tree/usr/lib/$(uname -m)-linux-gnu"
export RABBITMQ_CONF_ENV_FILE="$folder/none" RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins"
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
RABBITMQ_NODENAME=one@localhost RABBITMQ_DIST_PORT="$2" RABBITMQ_CONFIG_FILE="$folder/node.conf" \
    RABBITMQ_MNESIA_BASE="$folder/one" RABBITMQ_LOG_BASE="$folder/log" RABBITMQ_PID_FILE="$folder/pid" \
    setsid "$folder"/tree/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server >"$folder/console" 2>&1 &
nodes="$nodes $!"

"$folder/venv/bin/python" - "$1" <<'PYTHON'
import sys
import time

import pika
from pika.exceptions import AMQPError

HELD, ACKED = 60_000, 300


def connected() -> pika.BlockingConnection:
    for _ in range(600):
        try:
            return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1]), heartbeat=0))
        except (AMQPError, OSError):
            time.sleep(0.1)
    sys.exit("RabbitMQ does not answer")


connection = connected()
channel = connection.channel()
channel.queue_declare("q", durable=True)
for number in range(HELD):
    channel.basic_publish("", "q", b"%d" % number)
tags: list[int] = []
channel.basic_consume("q", lambda _channel, method, _properties, _body: tags.append(method.delivery_tag))
while len(tags) < HELD:
    connection.process_data_events(time_limit=1)


def acknowledged(start: int) -> float:
    """The seconds that so many acknowledgements take, one by one, of messages beside each other."""
    began = time.perf_counter()
    for tag in tags[start : start + ACKED]:
        channel.basic_ack(tag)
    channel.basic_qos(prefetch_count=0)  # answered when all of them are done
    return time.perf_counter() - began


oldest = min(acknowledged(start) for start in (0, ACKED, 2 * ACKED))
middle, youngest = (acknowledged(start) for start in (HELD // 2, HELD - ACKED))
print(f"the middle ones took {middle / oldest:.0f} times as long as the oldest, the youngest {youngest / oldest:.0f} times")
sys.exit(not (middle > 5 * oldest and youngest > 1.3 * middle))
PYTHON
