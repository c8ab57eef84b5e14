// node publish_amqplib.js url queue: what amqplib writes when Date.now() is given for a timestamp, which is in seconds.
const amqplib = require("amqplib");

(async () => {
  const [url, queue] = process.argv.slice(2);
  const connection = await amqplib.connect(url);
  const channel = await connection.createConfirmChannel();
  const headers = { "sent-at": { "!": "timestamp", value: Date.now() }, ratio: 1.5 };
  channel.sendToQueue(queue, Buffer.from(process.env.BODY), { persistent: true, messageId: "from-node", headers });
  await channel.waitForConfirms();
  await connection.close();
})();
