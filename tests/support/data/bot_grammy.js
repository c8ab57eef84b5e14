// Does with grammY what the other bots do, too; prints what it has seen as JSON.
// Usage: node bot_grammy.js <address> <token> <chats>, with NODE_PATH
'use strict'
const { Api, GrammyError } = require('grammy')

const [address, token, chats] = process.argv.slice(2)
const [PERSON, FORUM, BLOCKED, MOVED, BUSY] = chats.split(',').map(Number)
const api = new Api(token, { apiRoot: address })

const shown = message => [message.text, (message.entities || []).map(each => [each.type, each.offset, each.length])]

async function refused (chat, text, options) {
  try {
    await api.sendMessage(chat, text, options)
  } catch (error) {
    if (!(error instanceof GrammyError)) throw error
    const { retry_after: seconds, migrate_to_chat_id: id } = error.parameters
    if (seconds !== undefined) return ['flood', seconds]
    if (id !== undefined) return ['migrated', id]
    return error.error_code === 403 ? ['forbidden', null] : ['refused', error.description.toLowerCase()]
  }
  return ['sent', null]
}

async function main () {
  const source = "<b>Счёт <i>7</i></b> &lt;🏟&gt; <a href='https://t.org/x?a=1&amp;b=2'>ссылка</a>\n<code>a*b</code>"
  const html = await api.sendMessage(PERSON, source, { parse_mode: 'HTML' })
  const escaped = '1+1=2! [a](b) _c_ {d} |e| ~f~ #g >h .'.replace(/[_*[\]()~`>#+\-=|{}.!]/g, '\\$&')
  const markdown = await api.sendMessage(PERSON, `${escaped} *ж*`, { parse_mode: 'MarkdownV2' })
  const text = '🏟 жирно тайно a*b т\nx = 1'
  const entities = await api.sendMessage(PERSON, text, {
    entities: [
      { type: 'bold', offset: 3, length: 11 },
      { type: 'spoiler', offset: 9, length: 5 },
      { type: 'code', offset: 15, length: 3 },
      { type: 'text_link', offset: 19, length: 1, url: 'https://t.org/' },
      { type: 'pre', offset: 21, length: 5, language: 'python' }
    ]
  })
  const again = await api.sendMessage(PERSON, entities.text, { entities: entities.entities })
  const reply = await api.sendMessage(FORUM, '  ответ \n', {
    message_thread_id: 7,
    disable_notification: true,
    protect_content: true,
    link_preview_options: { is_disabled: true },
    reply_parameters: { message_id: html.message_id, chat_id: PERSON }
  })
  const seen = {
    me: (await api.getMe()).username,
    html: shown(html),
    markdown: shown(markdown),
    entities: shown(entities),
    again: [JSON.stringify(shown(again)) === JSON.stringify(shown(entities))],
    reply: [reply.text, reply.message_thread_id, reply.reply_to_message.text, reply.has_protected_content],
    refusals: [
      await refused(PERSON, 'a. b', { parse_mode: 'MarkdownV2' }),
      await refused(PERSON, '<x>', { parse_mode: 'HTML' }),
      await refused(PERSON, 'x'.repeat(4097)),
      await refused(5, 'x'),
      await refused(BLOCKED, 'x'),
      await refused(MOVED, 'x'),
      await refused(BUSY, 'x')
    ]
  }
  console.log(JSON.stringify(seen))
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
