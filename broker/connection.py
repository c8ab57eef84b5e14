"""Makes a connection to RabbitMQ: its parameters, TLS, the first host that answers."""

from __future__ import annotations

import ssl

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPConnectionError

from broker.errors import describe
from broker.frames import FramedConnection
from broker.nodes import Nodes, Parameters, at_address, limit_of
from broker.resolving import Resolver
from broker.settings import RabbitMQSettings
from broker.unreachable import UnreachableError

Connection = pika.BlockingConnection  # that of a thread which may wait


def connection_parameters(settings: RabbitMQSettings, role: str) -> list[pika.ConnectionParameters]:
    """Return one entry per configured host; `role` appears as the connection's name in RabbitMQ's own tools.

    Reads the certificates. Raises OSError when one of them cannot be read or used.
    """
    credentials = pika.PlainCredentials(settings.username, settings.password.get_secret_value())
    context = _ssl_context(settings) if settings.tls else None
    return [
        pika.ConnectionParameters(
            host=host,
            port=port,
            virtual_host=settings.virtual_host,
            credentials=credentials,
            heartbeat=settings.heartbeat,
            ssl_options=pika.SSLOptions(context, host) if context else None,
            socket_timeout=settings.connection_timeout,
            stack_timeout=settings.connection_timeout,
            blocked_connection_timeout=settings.blocked_connection_timeout,
            client_properties={"connection_name": f"task-creator {role}"},
        )
        for host, port in settings.endpoints
    ]


def _ssl_context(settings: RabbitMQSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except OSError as error:  # an ssl.SSLError, too; neither names the file
        files = ", ".join(str(each) for each in (settings.ca_file, settings.cert_file, settings.key_file) if each)
        raise OSError(f"one of these files cannot be read or does not fit: {files}: {describe(error)}") from error
    if not settings.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def connect(parameters: Parameters) -> tuple[pika.BlockingConnection, pika.ConnectionParameters]:
    """Connect to the first host that answers; return the connection and its parameters.

    Raises UnreachableError or OSError. Blocks: for threads that may wait. What runs an I/O loop connects by
    broker.racing.
    """
    nodes = Nodes.of(parameters)
    failure: Exception = AMQPConnectionError("no RabbitMQ host is configured")
    for candidate in nodes.in_order():
        try:
            connection = _connected(candidate, nodes.resolver)
        except (AMQPConnectionError, OSError) as error:
            failure = error
        else:
            nodes.answered(candidate)
            return connection, candidate
    raise failure


def _connected(parameters: pika.ConnectionParameters, resolver: Resolver) -> pika.BlockingConnection:
    failure: Exception = AMQPConnectionError(f"{parameters.host} has no address")
    try:
        addresses = resolver.wait_for(parameters.host, parameters.port, limit_of(parameters))
    except OSError as error:
        raise UnreachableError(parameters.host, parameters.port, error) from error
    for address in addresses:
        try:
            # The stub wants an instance; pika itself wants the class.
            return pika.BlockingConnection(at_address(parameters, address), _impl_class=FramedConnection)  # type: ignore[arg-type]
        # pika tells a silent host by an AMQPConnectorException, a connection that is reset at once by a ValueError.
        except (AMQPConnectionError, OSError, AMQPConnectorException, ValueError) as error:
            failure = error
    raise UnreachableError(parameters.host, parameters.port, failure) from failure
