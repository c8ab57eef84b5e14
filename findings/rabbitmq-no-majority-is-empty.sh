#!/bin/sh
# RabbitMQ 3.10.8 (Debian bookworm, rabbitmq-server 3.10.8-1.1+deb12u1, erlang 25): a quorum queue that has lost its
# majority is told to be empty, and a delete, which is answered, takes its messages along.
#
# Three nodes, a quorum queue with five confirmed messages, two nodes killed, its leader among them. A passive declare on
# the third answers message_count 0, without an error. Whoever deletes "only if nothing is in it" by that figure deletes
# five messages: the answer is delete-ok, with 0 messages, and when the two nodes are back the queue is gone. If the
# leader is on the node that is left, the figure is right, and the delete goes through all the same. On one node the same
# is seen while the leader's process is suspended, also with 4.0.5 and 4.3.6.
#
# Seen: before: 5; without a majority: 0; delete: delete-ok, 0; with all nodes back: 404
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
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(7)]
print(*(each.getsockname()[1] for each in s))')
: >"$folder/enabled_plugins"
export HOME="$folder/home" PATH="$erlang/bin:$PATH" ERL_EPMD_PORT="$7" ERL_EPMD_ADDRESS=127.0.0.1
export LD_LIBRARY_PATH="$folder/tree/usr/lib/$(uname -m)-linux-gnu"
export RABBITMQ_CONF_ENV_FILE="$folder/none" RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins"
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"

# start NAME PORT DIST_PORT: a node of the cluster; its process group is the last of $nodes.
start() {
    cat >"$folder/$1.conf" <<CONFIG
listeners.tcp.default = 127.0.0.1:$2
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = one@localhost
cluster_formation.classic_config.nodes.2 = two@localhost
cluster_formation.classic_config.nodes.3 = three@localhost
cluster_formation.randomized_startup_delay_range.min = 0
cluster_formation.randomized_startup_delay_range.max = 1
CONFIG
    RABBITMQ_NODENAME="$1@localhost" RABBITMQ_DIST_PORT="$3" RABBITMQ_CONFIG_FILE="$folder/$1.conf" \
        RABBITMQ_MNESIA_BASE="$folder/$1" RABBITMQ_LOG_BASE="$folder/$1-log" RABBITMQ_PID_FILE="$folder/$1-pid" \
        setsid "$folder"/tree/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server >"$folder/$1-console" 2>&1 &
    nodes="$nodes $!"
}

client() { "$folder/venv/bin/python" "$folder/client.py" "$@"; }

cat >"$folder/client.py" <<'PYTHON'
import sys
import time

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

port, what = sys.argv[1:]


def connected() -> pika.BlockingConnection:
    for _ in range(600):
        try:
            return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(port)))
        except (AMQPError, OSError):
            time.sleep(0.1)
    sys.exit("RabbitMQ does not answer")


channel = connected().channel()
if what == "put":
    arguments = {"x-queue-type": "quorum", "x-quorum-initial-group-size": 3}
    channel.queue_declare("q", durable=True, arguments=arguments)
    channel.confirm_delivery()
    time.sleep(3)
    for number in range(5):  # each returns when RabbitMQ has confirmed it
        channel.basic_publish("", "q", b"%d" % number, pika.BasicProperties(delivery_mode=2), mandatory=True)
    time.sleep(1)
if what in ("put", "count"):
    print(channel.queue_declare("q", durable=True, passive=True).method.message_count)
if what == "delete":
    print("delete-ok,", channel.queue_delete("q").method.message_count)
if what == "look":
    try:
        print("there,", channel.queue_declare("q", durable=True, passive=True).method.message_count)
    except ChannelClosedByBroker as error:
        print(error.reply_code)
PYTHON

start one "$1" "$4"
client "$1" ready
start two "$2" "$5"
start three "$3" "$6"
client "$2" ready
client "$3" ready
before=$(client "$3" put)
set -- "$@" $nodes
for node in "$9" "${10}"; do kill -9 "-$node"; done
sleep 3
silent=$(client "$1" count)
deleted=$(client "$1" delete)
start two "$2" "$5"
start three "$3" "$6"
client "$2" ready
client "$3" ready
after=$(client "$2" look)
echo "before: $before; without a majority: $silent; delete: $deleted; with all nodes back: $after"
[ "$before" = 5 ] && [ "$silent" = 0 ] && [ "$deleted" = "delete-ok, 0" ] && [ "$after" = 404 ]
