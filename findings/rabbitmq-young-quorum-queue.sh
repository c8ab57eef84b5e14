#!/bin/sh
# RabbitMQ 3.10.8 (Debian bookworm, rabbitmq-server 3.10.8-1.1+deb12u1, erlang 25): a quorum queue that is younger than
# a second loses messages that it has confirmed, when its only node is killed and started again.
#
# A confirm of a quorum queue is taken to mean "on the disks of a majority". Of a queue that was declared within the last
# second this does not hold: the messages are gone, or the queue does not come back at all. Whoever creates a queue when
# it is first needed (a wait queue for retries, say) and trusts the confirm of the first message in it must know. The
# same queue, killed three seconds after it was declared, keeps everything. Also seen with 4.0.5 and 4.3.6.
#
# Seen: killed at once: 0 of 20 confirmed messages are left; killed after 3 s: 20 of 20
#
# Needs Debian 12 with apt-get; nothing is installed in the system.
set -eu
folder=$(mktemp -d)
node=
end() {
    [ -z "$node" ] || kill -9 "-$node" 2>/dev/null || :
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

ports=$(python3 -c 'import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(each.getsockname()[1] for each in s))')
set -- $ports
port=$1
cat >"$folder/rabbitmq.conf" <<CONFIG
listeners.tcp.default = 127.0.0.1:$port
CONFIG
: >"$folder/enabled_plugins"
export HOME="$folder/home" PATH="$erlang/bin:$PATH" ERL_EPMD_PORT="$3" ERL_EPMD_ADDRESS=127.0.0.1
export LD_LIBRARY_PATH="$folder/tree/usr/lib/$(uname -m)-linux-gnu" RABBITMQ_DIST_PORT="$2"
export RABBITMQ_NODENAME=finding@localhost RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf"
export RABBITMQ_CONF_ENV_FILE="$folder/none" RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins"
export RABBITMQ_MNESIA_BASE="$folder/data" RABBITMQ_LOG_BASE="$folder/log" RABBITMQ_PID_FILE="$folder/pid"
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"

start() {
    setsid "$folder"/tree/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server >"$folder/console" 2>&1 &
    node=$!
}

# kill_after SECONDS: prints how many of 20 confirmed messages are left.
kill_after() {
    start
    "$folder/venv/bin/python" "$folder/client.py" "$port" put "q$1" "$1"
    kill -9 "-$node"
    wait "$node" 2>/dev/null || :
    start
    "$folder/venv/bin/python" "$folder/client.py" "$port" count "q$1"
    kill -9 "-$node"
    wait "$node" 2>/dev/null || :
}

cat >"$folder/client.py" <<'PYTHON'
import sys
import time

import pika
from pika.exceptions import AMQPError

port, what, queue, *rest = sys.argv[1:]


def connected() -> pika.BlockingConnection:
    for _ in range(300):
        try:
            return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(port)))
        except (AMQPError, OSError):
            time.sleep(0.1)
    sys.exit("RabbitMQ does not answer")


if what == "put":
    channel = connected().channel()
    channel.confirm_delivery()
    time.sleep(2)  # the node itself is at rest
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    time.sleep(float(rest[0]))
    for number in range(20):  # each returns when RabbitMQ has confirmed it, and raises if it has not
        channel.basic_publish("", queue, b"%d" % number, pika.BasicProperties(delivery_mode=2), mandatory=True)
else:
    left = 0
    end = time.monotonic() + 10
    while left < 20 and time.monotonic() < end:
        time.sleep(0.5)
        try:
            left = connected().channel().queue_declare(queue, durable=True, passive=True).method.message_count
        except AMQPError:  # the queue has no leader
            pass
    print(left)
PYTHON

young=$(kill_after 0)
old=$(kill_after 3)
echo "killed at once: $young of 20 confirmed messages are left; killed after 3 s: $old of 20"
[ "$young" -lt 20 ] && [ "$old" -eq 20 ]
