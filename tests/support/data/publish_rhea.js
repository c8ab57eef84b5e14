// node publish_rhea.js host port username password vhost queue: messages of an AMQP 1.0 client, from BODIES in the
// environment: a JSON list of { kind, text }.
const rhea = require("rhea");

const [host, port, username, password, vhost, queue] = process.argv.slice(2);
const types = rhea.types;
const make = {
  string: (text) => ({ body: text, durable: true }),
  data: (text) => ({ body: rhea.message.data_section(Buffer.from(text)) }),
  binary: (text) => ({ body: types.wrap_binary(Buffer.from(text)) }),
  map: (text) => ({ body: { text } }),
  sequence: (text) => ({ body: rhea.message.sequence_section([text]) }),
  before_year_1: (text) => ({ body: text, application_properties: { at: types.wrap_timestamp(-1e15) } }),
  before_1970: (text) => ({ body: text, application_properties: { at: types.wrap_timestamp(-86400000) } }),
  reply: (text) => ({ body: text, reply_to: "amq.rabbitmq.reply-to" }),
  uuid: (text) => ({ body: text, application_properties: { order: types.wrap_uuid(Buffer.alloc(16, 7)) } }),
  char: (text) => ({ body: text, message_annotations: { "x-opt-letter": types.wrap_char(65) } }),
  long_content_type: (text) => ({ body: rhea.message.data_section(Buffer.from(text)), content_type: "t".repeat(300) }),
  cc_text: (text) => ({ body: text, application_properties: { CC: "elsewhere.queue" } }),
  cc: (text) => ({ body: text, message_annotations: { "x-cc": ["elsewhere.queue"] } }),
};
const messages = JSON.parse(process.env.BODIES).map(({ kind, text }) => make[kind](text));
const connection = rhea.connect({ host, port, username, password, hostname: `vhost:${vhost}`, reconnect: false });
let taken = 0;
connection.open_sender(`/queues/${queue}`);
connection.on("sendable", ({ sender }) => {
  while (messages.length && sender.sendable()) sender.send(messages.shift());
});
connection.on("accepted", () => {
  taken += 1;
  if (taken === JSON.parse(process.env.BODIES).length) connection.close();
});
for (const failure of ["rejected", "released", "connection_error", "session_error", "sender_error", "disconnected"]) {
  connection.on(failure, (context) => {
    if (failure !== "disconnected" || taken < JSON.parse(process.env.BODIES).length) {
      console.error(failure, String(context.error || ""));
      process.exit(1);
    }
  });
}
