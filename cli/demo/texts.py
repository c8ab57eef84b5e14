"""Texts of the demo for people, in English and in Russian."""

from __future__ import annotations

from collections.abc import Mapping

from core.texts import Language, Text

_TEXTS: Mapping[str, Text] = {
    "title": Text(
        "Task Creator: the closed loop Camunda → {system} → people → Camunda, for real",
        "Task Creator: замкнутый цикл Camunda → {system} → люди → Camunda, вживую",
    ),
    "title_instant": Text(
        "Task Creator: Camunda → {system} → Camunda, for real", "Task Creator: Camunda → {system} → Camunda, вживую"
    ),
    # steps
    "server_index": Text("looking up the RabbitMQ packages…", "ищу пакеты RabbitMQ…"),
    "server_download": Text(
        "downloading RabbitMQ and Erlang, 35–70 MB, once; nothing is installed…",
        "скачиваю RabbitMQ и Erlang, 35–70 МБ, один раз; в систему ничего не ставится…",
    ),
    "server_unpack": Text("unpacking RabbitMQ…", "распаковываю RabbitMQ…"),
    "server_check": Text("trying Erlang…", "проверяю Erlang…"),
    "node_starts": Text("starting a private RabbitMQ node…", "запускаю собственный узел RabbitMQ…"),
    "private_node": Text(
        "private node of RabbitMQ {version} on {place}", "собственный узел RabbitMQ {version} на {place}"
    ),
    "named_broker": Text(
        "RabbitMQ at {place}, virtual host {vhost}, as RABBITMQ_* say",
        "RabbitMQ на {place}, виртуальный хост {vhost}, по переменным RABBITMQ_*",
    ),
    "worker_starts": Text("starting the worker…", "запускаю воркер…"),
    "worker": Text(
        "worker, process {pid}, looks for finished tasks every {seconds} s",
        "воркер, процесс {pid}, проверяет готовность задач каждые {seconds} с",
    ),
    "sending": Text(
        "Camunda sends {messages} messages; {duplicate} again, {broken} broken, {refused} for nobody",
        "Camunda шлёт сообщений: {messages}; повторно: {duplicate}, испорчено: {broken}, никому: {refused}",
    ),
    "stopping": Text("stopping the worker…", "останавливаю воркер…"),
    # board
    "stage_sent": Text("sent by Camunda", "отправлено из Camunda"),
    "stage_waiting": Text("waiting in {queue}", "ждут в {queue}"),
    "stage_waiting_many": Text("waiting in the input queues", "ждут во входных очередях"),
    "stage_created": Text("created in {system}", "создано: {system}"),
    "stage_created_instant": Text("delivered: {system}", "доставлено: {system}"),
    "stage_tracked": Text("waiting in {sent_queue}", "ждут в {sent_queue}"),
    "stage_tracked_many": Text("waiting in the sent queues", "ждут в очередях отправленных"),
    "stage_finished": Text("finished by people", "завершено людьми"),
    "stage_responses": Text("in camunda.responses.queue", "в camunda.responses.queue"),
    "stage_errors": Text("in errors.camunda_tasks.queue", "в errors.camunda_tasks.queue"),
    "plain_line": Text(
        "sent {sent} → {queue} {waiting} → created {created} → {sent_queue} {tracked} → finished "
        "{finished} → camunda.responses.queue {responses}; in the error queue {errors}",
        "отправлено {sent} → {queue} {waiting} → создано {created} → {sent_queue} {tracked} → завершено "
        "{finished} → camunda.responses.queue {responses}; в очереди ошибок {errors}",
    ),
    "plain_line_instant": Text(
        "sent {sent} → {queue} {waiting} → delivered {created} → {sent_queue} {tracked} → camunda.responses.queue "
        "{responses}; in the error queue {errors}",
        "отправлено {sent} → {queue} {waiting} → доставлено {created} → {sent_queue} {tracked} → "
        "camunda.responses.queue {responses}; в очереди ошибок {errors}",
    ),
    "elapsed": Text("{seconds} s", "{seconds} с"),
    "input_queues": Text("input queues", "входные очереди"),
    "sent_queues": Text("sent queues", "очереди отправленных"),
    "no_latest": Text("nobody has finished a task yet", "пока никто не завершил задачу"),
    # summary
    "summary": Text("Summary", "Итог"),
    "sent": Text("messages sent", "отправлено сообщений"),
    "created": Text("created in {system}", "создано: {system}"),
    "created_instant": Text("delivered: {system}", "доставлено: {system}"),
    "created_note": Text(
        "for people {tasks}, finished at once {instant}; updates {updated}",
        "для людей {tasks}, готово сразу {instant}; изменения {updated}",
    ),
    "duplicates": Text("duplicates avoided", "предотвращено дублей"),
    "completed": Text("completed, answered to Camunda", "завершено, ответ отдан Camunda"),
    "errors": Text("in the error queue", "в очереди ошибок"),
    "created_twice": Text("created twice", "создано дважды"),
    "answered_twice": Text("answered twice", "отвечено дважды"),
    "lost": Text("lost", "потеряно"),
    "counted": Text(
        "Counted by task id from the queues and the systems, not from the worker's own counters. {seconds} s in all.",
        "Посчитано по id задач из очередей и систем, а не по счётчикам воркера. Всего {seconds} с.",
    ),
    "broken_title": Text("a message cut off in the middle", "сообщение, оборванное на середине"),
    "faults": Text("NOT AS IT SHOULD BE:", "НЕ ТАК, КАК ДОЛЖНО БЫТЬ:"),
    "fault": Text(
        "{key} «{title}»: ids outside {ids}, responses {answers}, errors {errors}",
        "{key} «{title}»: id в системе {ids}, ответов {answers}, ошибок {errors}",
    ),
    "missing": Text(
        "Not finished in {seconds} s; where each task is:", "Не завершилось за {seconds} с; где каждая задача:"
    ),
    "missing_row": Text("{key} «{title}»: {where}", "{key} «{title}»: {where}"),
    "in_queue": Text("in {queue}", "в {queue}"),
    "nowhere": Text("NOWHERE", "НИГДЕ"),
    "unpublished": Text("not sent yet", "ещё не отправлено"),
    "outside": Text("in {system} as {ids}", "в {system}: {ids}"),
    # the end
    "next": Text("What next", "Что дальше"),
    "next_env": Text(
        "cp config.env.example .env     then set RABBITMQ_… and your systems' variables in it",
        "cp config.env.example .env     и впишите туда RABBITMQ_… и переменные своих систем",
    ),
    "next_fields": Text(
        "./run bitrix init-fields       once per Bitrix24 portal",
        "./run bitrix init-fields       один раз для портала Битрикс24",
    ),
    "next_run": Text(
        "./run                          runs the worker from now on",
        "./run                          теперь запускает воркер",
    ),
    "next_check": Text(
        "./run config check --probe     says whether the settings are right",
        "./run config check --probe     говорит, верны ли настройки",
    ),
    "next_systems": Text(
        "./run demo --system all        (also {systems})",
        "./run demo --system all        (а также {systems})",
    ),
    "next_keep": Text(
        "./run --keep                   (without .env) leaves the demo running",
        "./run --keep                   (без .env) оставит демо работать",
    ),
    "kept": Text(
        "Everything is left running until Ctrl+C. In another terminal:",
        "Всё остаётся работать до Ctrl+C. В другом терминале:",
    ),
    "amqp": Text("RabbitMQ", "RabbitMQ"),
    "log": Text("worker's log", "журнал воркера"),
    "stopped": Text("Stopped; nothing is left running.", "Остановлено; ничего не осталось запущенным."),
    # what can go wrong
    "foreign": Text(
        "The virtual host {vhost} at RABBITMQ_HOST already holds {found}. The demo does not touch queues that "
        "somebody may be using. Choose one:",
        "В виртуальном хосте {vhost} на RABBITMQ_HOST уже есть {found}. Демо не трогает очереди, которыми кто-то "
        "может пользоваться. Выберите:",
    ),
    "foreign_1": Text(
        "unset RABBITMQ_*: the demo then starts a node of its own", "уберите RABBITMQ_*: демо запустит собственный узел"
    ),
    "foreign_2": Text(
        "name an empty virtual host in RABBITMQ_VIRTUAL_HOST", "укажите пустой виртуальный хост в RABBITMQ_VIRTUAL_HOST"
    ),
    "no_connection": Text("RabbitMQ cannot be used: {reason}", "RabbitMQ недоступен: {reason}"),
    "named_by": Text("it is named by {names} in this shell", "он указан в этой оболочке: {names}"),
    "unset": Text(
        "of a demo that has ended? The demo starts a RabbitMQ of its own after: unset {names}",
        "от завершившегося демо? Свой RabbitMQ демо запустит после: unset {names}",
    ),
    "no_server": Text(
        "No RabbitMQ server can be had here: {reasons}. Choose one:",
        "Сервера RabbitMQ здесь не получить: {reasons}. Выберите:",
    ),
    "choice_named": Text(
        "set RABBITMQ_HOST (and the other RABBITMQ_* variables) to a RabbitMQ that you have",
        "укажите в RABBITMQ_HOST (и других RABBITMQ_*) RabbitMQ, который у вас есть",
    ),
    "choice_install": Text("install one: apt install rabbitmq-server", "установите его: apt install rabbitmq-server"),
    "choice_any_version": Text(
        "take whichever version is at hand: leave RABBITMQ_VERSION unset",
        "возьмите любую доступную версию: не задавайте RABBITMQ_VERSION",
    ),
    "choice_mirror": Text(
        "on Debian or Ubuntu, let apt-get reach its package mirror: the server is then unpacked without root",
        "в Debian или Ubuntu откройте apt-get доступ к зеркалу пакетов: сервер распакуется без прав root",
    ),
    "choice_docker": Text(
        "install Docker and let this user reach its engine",
        "установите Docker и дайте этому пользователю доступ к нему",
    ),
    "worker_died": Text("The worker has ended: {reason}", "Воркер завершился: {reason}"),
    "worker_not_ready": Text(
        "The worker does not take messages after {seconds} s.",
        "Воркер не берёт сообщения уже {seconds} с.",
    ),
}


def say(lang: Language, name: str, **values: object) -> str:
    return _TEXTS[name].say(lang).format(**values)
