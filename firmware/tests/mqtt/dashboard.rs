//! What is on the other side of the broker: it publishes, and remembers all that it sees.

use crate::broker::LONG;
use rumqttc::{
    Client, ConnectionError, Event, Incoming, MqttOptions, Publish, PublishOptions,
    PublishProperties, QoS, SubscribeFilter,
};
use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Seen {
    messages: Mutex<Vec<Publish>>,
    more: Condvar,
}

pub(crate) struct Dashboard {
    client: Client,
    seen: Arc<Seen>,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Dashboard {
    /// Connected and subscribed when it returns.
    pub(crate) fn open(port: u16, filters: &[&str]) -> Self {
        Self::login(port, filters, None)
    }

    pub(crate) fn login(port: u16, filters: &[&str], login: Option<(&str, &str)>) -> Self {
        let id = format!("dashboard-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut options = MqttOptions::new(id, ("127.0.0.1", port));
        options.set_max_packet_size(Some(1 << 20));
        if let Some((name, password)) = login {
            options.set_credentials(name, password.to_owned());
        }
        let (client, mut connection) = Client::builder(options).capacity(1000).build();
        let filters = filters.iter().map(|filter| SubscribeFilter {
            preserve_retain: true,
            ..SubscribeFilter::new(*filter, QoS::AtLeastOnce)
        });
        client
            .subscribe_many(filters.chain([SubscribeFilter::new("nothing", QoS::AtMostOnce)]))
            .expect("right filters");
        let seen = Arc::new(Seen::default());
        let (ready, is_ready) = std::sync::mpsc::channel();
        let sees = Arc::clone(&seen);
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Incoming::Publish(publish))) => {
                        sees.messages.lock().expect("no panic").push(publish);
                        sees.more.notify_all();
                    }
                    Ok(Event::Incoming(Incoming::SubAck(_))) => drop(ready.send(())),
                    Ok(_) => {}
                    Err(ConnectionError::RequestsDone) => return,
                    Err(error) => {
                        let _ = ready.send(());
                        eprintln!("dashboard: {error}");
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
            }
        });
        is_ready.recv_timeout(LONG).expect("the broker answers");
        Self { client, seen }
    }

    pub(crate) fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.publish_as(topic, payload, PublishOptions::at_least_once());
    }

    pub(crate) fn publish_as(
        &self,
        topic: &str,
        payload: impl Into<Vec<u8>>,
        options: PublishOptions,
    ) {
        self.client
            .publish(topic, payload.into(), options)
            .expect("the thread runs");
    }

    pub(crate) fn ask(&self, topic: &str, payload: &str, to: &str, correlation: &[u8]) {
        let properties = PublishProperties {
            response_topic: Some(to.to_owned()),
            correlation_data: Some(correlation.to_vec().into()),
            ..PublishProperties::default()
        };
        self.publish_as(
            topic,
            payload,
            PublishOptions::at_least_once().properties(properties),
        );
    }

    /// The first message, from the start on, of which `find` makes something.
    pub(crate) fn wait<T>(&self, what: &str, find: impl Fn(&Publish) -> Option<T>) -> T {
        self.wait_at_most(LONG, what, find)
    }

    /// The same, for boards that are slower than this machine.
    pub(crate) fn wait_at_most<T>(
        &self,
        at_most: Duration,
        what: &str,
        find: impl Fn(&Publish) -> Option<T>,
    ) -> T {
        let begun = Instant::now();
        let mut messages = self.seen.messages.lock().expect("no panic");
        loop {
            if let Some(found) = messages.iter().find_map(&find) {
                return found;
            }
            let left = at_most.checked_sub(begun.elapsed()).unwrap_or_else(|| {
                let topics: Vec<_> = messages
                    .iter()
                    .map(|message| (&message.topic, message.payload.len()))
                    .collect();
                panic!("no {what}, but {topics:?}")
            });
            messages = self
                .seen
                .more
                .wait_timeout(messages, left)
                .expect("no panic")
                .0;
        }
    }

    /// The first message with this topic and text.
    pub(crate) fn text(&self, topic: &str, text: &str) -> Publish {
        self.wait(&format!("{topic} {text}"), |message| {
            let fits = message.topic.as_ref() == topic.as_bytes();
            (fits && String::from_utf8_lossy(&message.payload).contains(text))
                .then(|| message.clone())
        })
    }

    pub(crate) fn forget(&self) {
        self.seen.messages.lock().expect("no panic").clear();
    }

    /// All payloads on a topic until now.
    pub(crate) fn payloads(&self, topic: &str) -> Vec<String> {
        let messages = self.seen.messages.lock().expect("no panic");
        let on_topic = messages
            .iter()
            .filter(|message| message.topic.as_ref() == topic.as_bytes());
        on_topic
            .map(|message| String::from_utf8_lossy(&message.payload).into_owned())
            .collect()
    }
}
