//! One connection to the broker that comes back by itself.
//!
//! The event loop of `rumqttc` runs in a task of its own and is never interrupted, as half a packet may be on its way. It
//! answers keep-alives, whatever else the board does. A socket that takes no more bytes holds even its timers up, so
//! that a watch stands over each poll.

use super::backoff::{Backoff, Pace};
use super::fault::Fault;
use super::options::Login;
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, Incoming, Publish};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc::UnboundedSender, oneshot};
use tokio::time::{Instant, sleep, timeout};

/// Which connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Line {
    /// The board's own.
    Own,
    /// For the prompts of its group.
    Fleet,
    /// For the prompts that a lost board of the group left; its device id.
    Heir(String),
}

/// What a connection tells.
#[derive(Debug)]
pub(super) enum News {
    /// It is there.
    Up {
        /// Whether the broker still knew the session.
        resumed: bool,
        /// Bytes of a packet that the broker takes at most.
        largest: Option<u32>,
    },
    /// A message.
    Message(Publish),
    /// It is gone. Nothing happens until the sender is dropped: what was sent in the meantime must be cleared away.
    Down(Fault, oneshot::Sender<()>),
    /// It was closed as asked and will not come back.
    Closed,
    /// It has a fault of the program's own and will not come back.
    Panicked,
}

/// Makes a connection and runs it until it is closed with [`AsyncClient::try_disconnect`] or the task is aborted.
pub(super) fn open(
    line: Line,
    login: Login,
    pace: Pace,
    news: UnboundedSender<(Line, News)>,
) -> (AsyncClient, tokio::task::JoinHandle<()>) {
    // Without a bound: what may be sent at a time is bounded before it comes here.
    let (client, events) = AsyncClient::builder(login.options()).unbounded().build();
    let task = tokio::spawn(async move {
        let _last = LastWord(line.clone(), news.clone());
        let tell = |told| {
            // Whoever hears it ends this task first.
            let _ = news.send((line.clone(), told));
        };
        run(events, login, pace, tell).await;
    });
    (client, task)
}

/// Tells of a panic: the runtime keeps it to itself.
struct LastWord(Line, UnboundedSender<(Line, News)>);

impl Drop for LastWord {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.1.send((self.0.clone(), News::Panicked));
        }
    }
}

async fn run(mut events: EventLoop, mut login: Login, pace: Pace, tell: impl Fn(News)) {
    let mut backoff = Backoff::new(pace.clone());
    let mut closings = 0;
    loop {
        if login.may_connect().await {
            // Neither the network nor another client was to blame.
            backoff = Backoff::new(pace.clone());
            closings = 0;
        }
        let fault = match login.refresh(&mut events.options) {
            Ok(()) => {
                let mut up = None;
                let ended = connection(&mut events, &mut up, &tell).await;
                let lasted = up.as_ref().map(|up: &Up| up.since.elapsed());
                backoff.lasted(lasted.unwrap_or_default());
                let Some(fault) = ended else {
                    return tell(News::Closed);
                };
                // Who takes a session over leaves the broker and the session where they are; a broker that is restarted
                // listens no more, does not let everybody in at once, or has forgotten.
                if up.as_ref().is_none_or(|up| !up.resumed)
                    || lasted.is_some_and(|lasted| lasted >= pace.stable)
                {
                    closings = 0;
                }
                closings += u32::from(fault.silent && up.is_some());
                if closings > 1 && !is_listening(&login.address).await {
                    backoff = Backoff::new(pace.clone());
                    closings = 0;
                }
                if fault.silent && closings > 1 {
                    Fault::again_and_again()
                } else {
                    fault
                }
            }
            Err(error) => Fault::slow(error.to_string()),
        };
        events.clean();
        let (cleared, heard) = oneshot::channel();
        let wait = backoff.next(fault.slow, fastrand::f64());
        tell(News::Down(fault, cleared));
        let _ = heard.await;
        // Acknowledgements for the connection that is gone may have been sent until now.
        events.clean();
        sleep(wait).await;
    }
}

/// Whether somebody listens there, and goes on to do so: what ends takes a moment to close its port.
async fn is_listening((host, port): &(String, u16)) -> bool {
    const LOOKS: u32 = 5;
    for look in 0..LOOKS {
        if look > 0 {
            sleep(Duration::from_millis(150)).await;
        }
        let connects = TcpStream::connect((host.as_str(), *port));
        let connected = timeout(Duration::from_secs(1), connects).await;
        if !connected.is_ok_and(|connected| connected.is_ok()) {
            return false;
        }
    }
    true
}

/// A connection that the broker has let in.
struct Up {
    since: Instant,
    resumed: bool,
}

/// One connection, from its first packet to its end; `None` when it ended as asked.
async fn connection(
    events: &mut EventLoop,
    up: &mut Option<Up>,
    tell: &impl Fn(News),
) -> Option<Fault> {
    loop {
        // Something happens at least once in each keep-alive.
        let silence = events.options.keep_alive() * 2 + Duration::from_secs(2);
        let silence = silence.max(events.options.connect_timeout() + Duration::from_secs(2));
        match timeout(silence, events.poll()).await {
            Ok(Ok(Event::Incoming(Incoming::ConnAck(ack)))) => {
                *up = Some(Up {
                    since: Instant::now(),
                    resumed: ack.session_present,
                });
                // It has served: see `Login::options`.
                events.options.clear_session_store();
                let largest = ack
                    .properties
                    .and_then(|properties| properties.max_packet_size);
                tell(News::Up {
                    resumed: ack.session_present,
                    largest,
                });
            }
            Ok(Ok(Event::Incoming(Incoming::Publish(publish)))) => tell(News::Message(publish)),
            Ok(Ok(_)) => {}
            Ok(Err(ConnectionError::RequestsDone | ConnectionError::DisconnectTimeout)) => {
                return None;
            }
            Ok(Err(error)) => return Some(Fault::of(&error, up.is_some())),
            Err(_) => return Some(Fault::soon("the broker takes nothing any more")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_panics_has_a_last_word_and_one_that_ends_has_none() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let (news, mut heard) = tokio::sync::mpsc::unbounded_channel();
            for panics in [false, true] {
                let last = LastWord(Line::Own, news.clone());
                let task = tokio::spawn(async move {
                    let _last = last;
                    assert!(!panics, "as it should");
                });
                assert_eq!(task.await.is_err(), panics);
            }
            let word = heard.recv().await;
            assert!(
                matches!(word, Some((Line::Own, News::Panicked))),
                "{word:?}"
            );
            assert!(heard.try_recv().is_err());
        });
    }
}
