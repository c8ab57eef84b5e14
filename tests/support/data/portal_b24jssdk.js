// The official JavaScript SDK of Bitrix24 does what the vendor's tutorials show; prints what it has seen as JSON.
// Usage: node portal_b24jssdk.js <webhook>, with NODE_PATH and NODE_EXTRA_CA_CERTS
'use strict'
const { B24Hook } = require('@bitrix24/b24jssdk')

const CONTACT = 3
const DEAL = 2
const b24 = B24Hook.fromWebhookUrl(process.argv[2])
b24.offClientSideWarning()

async function call (method, params) {
  const answer = await b24.actions.v2.call.make({ method, params, requestId: method })
  if (!answer.isSuccess) throw new Error(`${method}: ${answer.getErrorMessages().join('; ')}`)
  return answer.getData().result
}

async function refusal (method, params) {
  return call(method, params).then(() => null, error => error.code)
}

// tutorials/crm/how-to-edit-crm-objects/how-to-change-email-or-phone.md
async function phones () {
  const fm = [
    { typeId: 'EMAIL', valueType: 'WORK', value: 'work_email@nomail.com' },
    { typeId: 'EMAIL', valueType: 'HOME', value: 'home_email@nomail.com' },
    { typeId: 'PHONE', valueType: 'WORK', value: '+493012345678' },
    { typeId: 'PHONE', valueType: 'MOBILE', value: '+493076543210' }
  ]
  const added = (await call('crm.item.add', { entityTypeId: CONTACT, fields: { name: 'Klaus', lastName: 'Weber', fm } })).item
  const read = (await call('crm.item.get', { entityTypeId: CONTACT, id: added.id })).item
  const id = (typeId, valueType) => read.fm.find(entry => entry.typeId === typeId && entry.valueType === valueType).id
  const changes = {
    [id('EMAIL', 'WORK')]: { typeId: 'EMAIL', valueType: 'WORK', value: 'new_work_email@nomail.com' },
    [id('EMAIL', 'HOME')]: { typeId: 'EMAIL', valueType: 'HOME', value: '' },
    [id('PHONE', 'MOBILE')]: { typeId: 'PHONE', valueType: 'MOBILE', value: '+493055544433' }
  }
  const changed = (await call('crm.item.update', { entityTypeId: CONTACT, id: added.id, fields: { fm: changes } })).item
  const more = [{ typeId: 'PHONE', valueType: 'WORK', value: '+493011111111' }]
  const extended = (await call('crm.item.update', { entityTypeId: CONTACT, id: added.id, fields: { fm: more } })).item
  const values = item => item.fm.map(entry => entry.value)
  return { added: values(added), changed: values(changed), extended: values(extended), hasPhone: extended.hasPhone }
}

// api-reference/crm/universal/crm-item-add.md: user fields of each type
async function userFields () {
  const described = (await call('crm.item.fields', { entityTypeId: DEAL, useOriginalUfNames: 'N' })).fields
  const fields = { title: 'Поставка', ufCrmContract: '17/2', ufCrm44_1721812935209: 'Y', ufCrmSize: 80 }
  const camel = (await call('crm.item.add', { entityTypeId: DEAL, fields })).item
  const original = (await call('crm.item.update', {
    entityTypeId: DEAL, id: camel.id, fields: { UF_CRM_CONTRACT: '18/1' }, useOriginalUfNames: 'Y'
  })).item
  const ignored = (await call('crm.item.update', {
    entityTypeId: DEAL, id: camel.id, fields: { UF_CRM_CONTRACT: '19/1' }
  })).item
  const list = async select => (await call('crm.item.list', { entityTypeId: DEAL, select })).items
  return {
    described: described.ufCrmSize,
    camel: [camel.ufCrmContract, camel.ufCrm44_1721812935209, camel.ufCrmSize],
    original: original.UF_CRM_CONTRACT,
    ignored: ignored.ufCrmContract,
    nothing: await list(['fm']),
    selected: await list(['title', 'ufCrmContract'])
  }
}

async function lists () {
  const calls = Array.from({ length: 49 }, (_, n) => ['crm.item.add', { entityTypeId: DEAL, fields: { title: `№ ${n} & ?` } }])
  await b24.actions.v2.batch.make({ calls, options: { requestId: 'deals', returnAjaxResult: false } })
  await b24.actions.v2.batch.make({ calls: calls.slice(0, 11), options: { requestId: 'more', returnAjaxResult: false } })
  const all = await b24.actions.v2.callList.make({
    method: 'crm.item.list',
    params: { entityTypeId: DEAL, select: ['id', 'title'] },
    idKey: 'id',
    customKeyForResult: 'items',
    requestId: 'list'
  })
  return all.getData().length
}

async function tasks () {
  const fields = { TITLE: 'Договор & Ко', RESPONSIBLE_ID: 2, UF_CAMUNDA_ID_EXTERNAL_TASK: 'key-1' }
  const id = Number((await call('tasks.task.add', { fields })).task.id)
  const item = await call('task.checklistitem.add', { TASKID: id, FIELDS: { TITLE: 'Паспорт' } })
  return { item, wrong: await refusal('tasks.task.add', { fields: { TITLE: 'x', RESPONSIBLE_ID: 777 } }) }
}

async function main () {
  const seen = { phones: await phones(), userFields: await userFields(), deals: await lists(), tasks: await tasks() }
  seen.refused = await refusal('crm.item.add', { entityTypeId: DEAL, fields: { assignedById: 777 } })
  console.log(JSON.stringify(seen))
}

main().catch(error => { console.error(error); process.exit(1) })
