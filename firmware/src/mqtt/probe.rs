//! One look at the broker with the board's settings, for `easel doctor`: it gets in, asks for all that the board asks for,
//! sends itself a message, and leaves. It has a session of its own, so that a board that is connected stays so.

use super::fault::Fault;
use super::options::Login;
use super::secret::PasswordPlaces;
use super::{BrokerSettings, topics};
use rumqttc::{
    AsyncClient, Event, Incoming, PubAckReason, PublishOptions, QoS, RetainForwardRule,
    SubscribeFilter, SubscribeReasonCode,
};
use std::time::{Duration, Instant};

/// After the broker has taken a message it comes back within so long, or it does not.
const COMES_BACK: Duration = Duration::from_secs(3);

/// What was found out.
#[derive(Debug)]
pub(crate) struct Probed {
    /// From the name look-up to the broker's welcome.
    pub(crate) connected: Duration,
    /// A message there and back; `None`: it did not come.
    pub(crate) round_trip: Option<Duration>,
    /// What the access list refuses, a line each.
    pub(crate) refused: Vec<String>,
}

/// Connects as the board `device` would.
///
/// # Errors
/// Why the board does not get in, in a line that says what to do.
pub(crate) fn probe(
    settings: &BrokerSettings,
    device: &str,
    limit: Duration,
) -> Result<Probed, String> {
    let address = settings
        .address()
        .ok_or("broker.host: is missing: name a broker")?;
    let client_id = format!("{}-doctor", topics::client_id(device));
    let login = Login {
        settings: settings.clone(),
        address,
        client_id,
        places: PasswordPlaces::of_process(settings),
        will: None,
        own_broker: None,
        receive_maximum: 16,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| format!("the system gives no poll: {error}: end other programs"))?;
    let look = async { tokio::time::timeout(limit, look(&login, device)).await };
    let looked = runtime.block_on(look);
    // A name look-up may hang for minutes in the system: nobody waits for it.
    runtime.shutdown_background();
    let slow = "the broker does not answer in time: look at the network and at the broker's log";
    looked.unwrap_or_else(|_| Err(slow.to_owned()))
}

async fn look(login: &Login, device: &str) -> Result<Probed, String> {
    let mut options = login.options();
    login
        .refresh(&mut options)
        .map_err(|error| error.to_string())?;
    options
        .clear_session_store()
        .set_clean_start(true)
        .set_session_expiry_interval(Some(0));
    let (client, mut events) = AsyncClient::builder(options).unbounded().build();
    let base = topics::base(device);
    let echo = format!("{base}/doctor");
    let mut filters: Vec<String> = topics::COMMANDS
        .iter()
        .map(|name| format!("{base}/{name}"))
        .collect();
    filters.push(echo.clone());
    let word = format!("{:016x}", fastrand::u64(..));
    let begun = Instant::now();
    let mut probed = Probed {
        connected: Duration::ZERO,
        round_trip: None,
        refused: Vec::new(),
    };
    let mut up = false;
    let mut sent = None;
    let mut give_up = None;
    loop {
        let poll = events.poll();
        let event = match give_up {
            None => poll.await,
            Some(at) => match tokio::time::timeout_at(at, poll).await {
                Ok(event) => event,
                Err(_) => {
                    let refusal = "the broker takes the board's message, but does not give it back";
                    probed.refused.push(refusal.to_owned());
                    break;
                }
            },
        };
        let event = event.map_err(|error| Fault::of(&error, up).reason)?;
        let wrong =
            |error: rumqttc::ClientError| format!("the connection ended: {error}: try again");
        match event {
            Event::Incoming(Incoming::ConnAck(_)) => {
                up = true;
                probed.connected = begun.elapsed();
                let filters = filters.iter().map(|filter| SubscribeFilter {
                    retain_forward_rule: RetainForwardRule::Never,
                    // Nothing is owed for what comes.
                    ..SubscribeFilter::new(filter.clone(), QoS::AtMostOnce)
                });
                let filters: Vec<SubscribeFilter> = filters.collect();
                client.try_subscribe_many(filters).map_err(wrong)?;
            }
            Event::Incoming(Incoming::SubAck(ack)) => {
                let codes = filters.iter().zip(&ack.return_codes);
                for (filter, code) in codes {
                    if !matches!(code, SubscribeReasonCode::Success(_)) {
                        let refusal =
                            format!("the broker refuses a subscription to {filter}: {code:?}");
                        probed.refused.push(refusal);
                    }
                }
                sent = Some(Instant::now());
                let once = PublishOptions::new(QoS::AtLeastOnce);
                client
                    .try_publish(echo.clone(), word.clone(), once)
                    .map_err(wrong)?;
            }
            Event::Incoming(Incoming::PubAck(ack)) => match ack.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {
                    give_up = Some(tokio::time::Instant::now() + COMES_BACK);
                }
                reason => {
                    let refusal = format!("the broker refuses to publish {echo}: {reason:?}");
                    probed.refused.push(refusal);
                    break;
                }
            },
            Event::Incoming(Incoming::Publish(publish))
                if publish.topic == echo.as_bytes() && publish.payload == word.as_bytes() =>
            {
                probed.round_trip = sent.map(|sent| sent.elapsed());
                break;
            }
            _ => {}
        }
    }
    // A polite end; whether it arrives does not matter any more.
    if client.try_disconnect_now().is_ok() {
        let _ = tokio::time::timeout(Duration::from_secs(1), async {
            while events.poll().await.is_ok() {}
        })
        .await;
    }
    Ok(probed)
}
