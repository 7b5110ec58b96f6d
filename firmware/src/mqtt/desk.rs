//! The connection's thread: what comes in is read and handed on, what goes out is sent as the broker takes it.

use super::backoff::Pace;
use super::dispatch::{self, Read};
use super::fleet::Fleet;
use super::inbound::{Inbound, Receipt, Ticket};
use super::link::{self, Line, News};
use super::options::Login;
use super::outbox::{Number, Outbox};
use super::report::Outbound;
use super::secret::PasswordPlaces;
use super::{BrokerSettings, Identity, publication, topics};
use crate::jobs::Source;
use crate::watch::Beat;
use rumqttc::{
    AsyncClient, ManualAck, PubAck, Publish, PublishNoticeError, QoS, RetainForwardRule,
    SubscribeFilter, SubscribeReasonCode,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

/// What the handle asks for.
#[derive(Debug)]
pub(super) enum Action {
    Acknowledge(Receipt),
    Publish(Outbound),
    Room(bool),
    Forget,
    /// Until when, and whom to tell whether all was sent.
    Stop(Duration, mpsc::Sender<bool>),
}

/// Unacknowledged commands that the broker may send. Fewer than a queue holds: the rest waits at the broker.
const RECEIVE_MAXIMUM: u16 = 16;

/// How often the thread shows that it gets on.
const BEAT_EVERY: Duration = Duration::from_secs(10);

/// One line's present connection.
pub(super) struct Connection {
    pub(super) client: AsyncClient,
    task: JoinHandle<()>,
    /// Counts its connections, for tickets.
    count: u64,
    pub(super) up: bool,
    /// Messages that wait for their acknowledgement.
    open: BTreeSet<u16>,
}

/// What a task that waited for the broker found out.
pub(super) enum Answer {
    Published(Number, String, Result<(), PublishNoticeError>),
    Subscribed(Line, u64, Vec<String>, Option<Vec<SubscribeReasonCode>>),
}

pub(super) struct Desk {
    pub(super) base: String,
    pub(super) settings: BrokerSettings,
    pub(super) identity: Identity,
    pub(super) pace: Pace,
    address: (String, u16),
    places: PasswordPlaces,
    own_broker: Option<watch::Receiver<bool>>,
    events: Box<dyn Fn(Inbound) + Send>,
    pub(super) lines: BTreeMap<Line, Connection>,
    news: UnboundedSender<(Line, News)>,
    heard: UnboundedReceiver<(Line, News)>,
    pub(super) outbox: Outbox,
    pub(super) answers: JoinSet<Answer>,
    pub(super) sending: usize,
    pub(super) largest: Option<u32>,
    resumed: bool,
    pub(super) birth: Option<Instant>,
    pub(super) fleet: Fleet,
    /// Lines that the log has already, so that a mistake made every second is one line.
    noted: BTreeSet<String>,
}

impl Desk {
    pub(super) fn new(
        settings: BrokerSettings,
        address: (String, u16),
        identity: Identity,
        places: PasswordPlaces,
        pace: Pace,
        own_broker: Option<watch::Receiver<bool>>,
        events: Box<dyn Fn(Inbound) + Send>,
    ) -> Self {
        let (news, heard) = unbounded_channel();
        Self {
            base: topics::base(&identity.device),
            fleet: Fleet::new(settings.fleet.clone()),
            settings,
            identity,
            pace,
            address,
            places,
            own_broker,
            events,
            lines: BTreeMap::new(),
            news,
            heard,
            outbox: Outbox::default(),
            answers: JoinSet::new(),
            sending: 0,
            largest: None,
            resumed: false,
            birth: None,
            noted: BTreeSet::new(),
        }
    }

    /// Until it is told to stop or the handle is dropped.
    pub(super) async fn run(mut self, mut actions: UnboundedReceiver<Action>, beat: &Beat) {
        self.open(
            Line::Own,
            topics::client_id(&self.identity.device),
            Some(self.topic("availability")),
        );
        if self.fleet.group.is_some() {
            self.open_fleet();
        }
        let mut beats = tokio::time::interval(BEAT_EVERY);
        loop {
            beat.work();
            self.send();
            let birth = self.birth;
            let alarm = [birth, self.fleet.alarm()].into_iter().flatten().min();
            tokio::select! {
                // A task of this thread that waits or spins holds this up, too.
                _ = beats.tick() => {}
                action = actions.recv() => match action {
                    Some(Action::Stop(deadline, done)) => {
                        let all = self.stop(Instant::now() + deadline).await;
                        let _ = done.send(all);
                        return;
                    }
                    Some(action) => self.act(action),
                    None => return,
                },
                Some((line, news)) = self.heard.recv() => self.hear(line, news),
                Some(answer) = self.answers.join_next() => self.answered(whole(answer)),
                () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => {
                    if birth.is_some_and(|birth| birth <= Instant::now()) {
                        self.announce_again();
                    }
                    self.fleet_alarm();
                }
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Acknowledge(receipt) => self.acknowledge(&receipt),
            Action::Publish(outbound) => self.publish(outbound),
            Action::Room(room) => self.room(room),
            Action::Forget => self.forget(),
            Action::Stop(..) => {}
        }
    }

    /// Opens a line; the fleet's get one message at a time.
    pub(super) fn open(&mut self, line: Line, client_id: String, will: Option<String>) {
        let login = Login {
            settings: self.settings.clone(),
            address: self.address.clone(),
            client_id,
            places: self.places.clone(),
            will,
            own_broker: self.own_broker.clone(),
            receive_maximum: if line == Line::Own {
                RECEIVE_MAXIMUM
            } else {
                1
            },
        };
        let (client, task) = link::open(line.clone(), login, self.pace.clone(), self.news.clone());
        let open = BTreeSet::new();
        self.lines.insert(
            line,
            Connection {
                client,
                task,
                count: 0,
                up: false,
                open,
            },
        );
    }

    /// Ends a line at once.
    pub(super) fn close(&mut self, line: &Line) {
        if let Some(connection) = self.lines.remove(line) {
            connection.task.abort();
        }
    }

    pub(super) fn client(&self, line: &Line) -> Option<&AsyncClient> {
        let connection = self.lines.get(line)?;
        connection.up.then_some(&connection.client)
    }

    pub(super) fn tell(&self, inbound: Inbound) {
        (self.events)(inbound);
    }

    /// Says a thing once.
    pub(super) fn note(&mut self, text: String) {
        // Names in it come from outside: there could be any number of them.
        if self.noted.len() < 1000 && self.noted.insert(text.clone()) {
            self.tell(Inbound::Note(text));
        }
    }

    fn topic(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    fn hear(&mut self, line: Line, news: News) {
        match news {
            News::Up { resumed, largest } => {
                let Some(connection) = self.lines.get_mut(&line) else {
                    return;
                };
                connection.up = true;
                connection.count += 1;
                connection.open.clear();
                if line == Line::Own {
                    self.largest = largest;
                    self.resumed = resumed;
                    if !resumed {
                        self.outbox.all_again();
                    }
                    self.subscribe(&line, self.own_filters(&topics::ALL));
                } else {
                    self.fleet_up(&line, resumed);
                }
            }
            News::Down(fault, cleared) => {
                if let Some(connection) = self.lines.get_mut(&line) {
                    connection.up = false;
                    connection.open.clear();
                }
                if line == Line::Own {
                    self.outbox.offline();
                    self.tell(Inbound::Offline {
                        reason: fault.reason,
                    });
                } else {
                    self.fleet_down(&line, &fault);
                }
                drop(cleared);
            }
            News::Message(publish) => self.message(line, publish),
            News::Closed => {
                self.lines.remove(&line);
            }
            // Without it the board would be said to be online for ever: the thread's end is seen.
            News::Panicked => panic!("the connection's task"),
        }
    }

    /// What the board itself listens to: whatever is published below its name, so that a mistaken topic is answered, but not
    /// what it says itself. With its flag as published, as a retained command would be carried out again at each start;
    /// none that is stored (MQTT 5, section 3.8.3.1).
    fn own_filters(&self, names: &[&str]) -> Vec<SubscribeFilter> {
        let mut filters: Vec<String> = names.iter().map(|name| self.topic(name)).collect();
        if self.settings.discovery {
            filters.push(format!("{}/status", self.settings.discovery_prefix));
        }
        let new = |filter: String| SubscribeFilter {
            nolocal: true,
            preserve_retain: true,
            retain_forward_rule: RetainForwardRule::Never,
            ..SubscribeFilter::new(filter, QoS::AtLeastOnce)
        };
        filters.into_iter().map(new).collect()
    }

    pub(super) fn subscribe(&mut self, line: &Line, filters: Vec<SubscribeFilter>) {
        let Some(connection) = self.lines.get(line) else {
            return;
        };
        let names = filters.iter().map(|filter| filter.path.clone()).collect();
        match connection.client.try_subscribe_many_tracked(filters) {
            Ok(notice) => {
                let (line, count) = (line.clone(), connection.count);
                self.answers.spawn(async move {
                    let codes = notice.wait_async().await.ok().map(|ack| ack.return_codes);
                    Answer::Subscribed(line, count, names, codes)
                });
            }
            Err(error) => self.note(format!("cannot subscribe: {error}")),
        }
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Published(number, topic, result) => self.published(number, &topic, result),
            Answer::Subscribed(line, count, names, Some(codes)) => {
                if self
                    .lines
                    .get(&line)
                    .is_none_or(|now| now.count != count || !now.up)
                {
                    return;
                }
                let refused = names.iter().zip(&codes);
                let refused = refused
                    .filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)))
                    .map(|(name, code)| {
                        let advice = "allow it in the broker's access list";
                        format!("the broker refuses a subscription to {name} ({code:?}): {advice}")
                    });
                let refused: Vec<String> = refused.collect();
                let all = topics::ALL.map(|name| self.topic(name));
                let asked_for_all = all.iter().all(|filter| names.contains(filter));
                match (line == Line::Own, asked_for_all) {
                    // An access list may name each command.
                    (true, true) if !refused.is_empty() => {
                        self.subscribe(&line, self.own_filters(&topics::COMMANDS));
                    }
                    (true, for_all) => {
                        if for_all && self.resumed {
                            self.leave_older_filters(&line);
                        }
                        self.online(refused);
                    }
                    (false, _) => refused.into_iter().for_each(|text| self.note(text)),
                }
            }
            // The connection is gone; the next one subscribes anew.
            Answer::Subscribed(_, _, _, None) => {}
        }
    }

    /// A session may have been begun with filters of their own for the commands: with two that fit, a message may come twice.
    fn leave_older_filters(&mut self, line: &Line) {
        if let Some(client) = self.client(line) {
            let older = topics::COMMANDS.map(|name| self.topic(name));
            // Without a connection there is nothing to leave, and the next one tries again.
            older
                .into_iter()
                .for_each(|filter| drop(client.try_unsubscribe(filter)));
        }
    }

    fn online(&mut self, refused: Vec<String>) {
        let availability = publication::availability(&self.base, true);
        self.outbox.refresh(&availability.topic);
        self.outbox.retain(availability);
        self.tell(Inbound::Online {
            resumed: self.resumed,
            refused,
        });
    }

    fn message(&mut self, line: Line, publish: Publish) {
        if publish.qos != QoS::AtMostOnce
            && let Some(connection) = self.lines.get_mut(&line)
        {
            connection.open.insert(publish.pkid);
        }
        let ticket = self.ticket(&line, &publish);
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        if line != Line::Own {
            return self.fleet_message(&line, &topic, publish, ticket);
        }
        if self.settings.discovery && topic == format!("{}/status", self.settings.discovery_prefix)
        {
            if publish.payload.as_ref() == b"online" && !publish.retain {
                // All boards of a house hear it at once.
                let wait = self.pace.first.mul_f64(0.5 + 4.5 * fastrand::f64());
                self.birth = Some(Instant::now() + wait);
            }
            return self.give_back(ticket);
        }
        match dispatch::read(&self.base, &topic, &publish, Source::Mqtt) {
            Read::Paint(job) => self.tell(Inbound::Paint { job, ticket }),
            Read::Wrong { id, reply, problem } => self.tell(Inbound::Wrong {
                id,
                reply,
                problem,
                ticket,
            }),
            Read::Other(inbound) => {
                self.tell(inbound);
                self.give_back(ticket);
            }
            Read::Nothing => self.give_back(ticket),
        }
    }

    fn ticket(&self, line: &Line, publish: &Publish) -> Ticket {
        if publish.qos == QoS::AtMostOnce {
            return Ticket(None);
        }
        let connection = self
            .lines
            .get(line)
            .map_or(0, |connection| connection.count);
        let packet = publish.pkid;
        Ticket(Some(Receipt {
            line: line.clone(),
            connection,
            packet,
        }))
    }

    pub(super) fn give_back(&mut self, ticket: Ticket) {
        if let Some(receipt) = ticket.0 {
            self.acknowledge(&receipt);
        }
    }

    fn acknowledge(&mut self, receipt: &Receipt) {
        self.fleet_done(receipt);
        let Some(connection) = self.lines.get_mut(&receipt.line) else {
            return;
        };
        let current = connection.up && connection.count == receipt.connection;
        if current && connection.open.remove(&receipt.packet) {
            let ack = ManualAck::PubAck(PubAck::new(receipt.packet, None));
            // If it cannot be said, the connection is gone, and the message comes again.
            let _ = connection.client.try_manual_ack(ack);
        }
    }

    /// Sends what waits and `offline`, then says goodbye; whether all of it was done.
    async fn stop(&mut self, deadline: Instant) -> bool {
        if self.lines.get(&Line::Own).is_some_and(|own| own.up) {
            self.outbox
                .retain(publication::availability(&self.base, false));
            self.fleet_stop();
            while !self.outbox.is_empty() && self.lines.get(&Line::Own).is_some_and(|own| own.up) {
                self.send();
                let step = async {
                    tokio::select! {
                        Some((line, news)) = self.heard.recv() => self.hear(line, news),
                        Some(answer) = self.answers.join_next() => self.answered(whole(answer)),
                    }
                };
                if timeout_at(deadline, step).await.is_err() {
                    break;
                }
            }
        }
        let mut all = self.outbox.is_empty();
        for (_, connection) in std::mem::take(&mut self.lines) {
            let abort = connection.task.abort_handle();
            let said = connection.up && connection.client.try_disconnect_now().is_ok();
            all &= said && timeout_at(deadline, connection.task).await.is_ok();
            abort.abort();
        }
        all
    }
}

/// What a task of this thread has found out. A panic of it is the thread's.
fn whole<T>(joined: Result<T, JoinError>) -> T {
    match joined {
        Ok(found) => found,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => panic!("{error}"),
        },
    }
}
