//! What `rumqttc` must be told, as its defaults are for other uses.

use super::secret::PasswordPlaces;
use super::{BrokerError, BrokerSettings, tls};
use rumqttc::{
    AckMode, ConnectProperties, LastWill, MqttOptions, PersistedAckMode, PersistedSession, QoS,
    SessionStore, SessionStoreError, SessionStoreKey,
};
use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::watch;

/// Seconds that the broker keeps session and messages for a board that is off.
const SESSION_EXPIRY_S: u32 = 24 * 60 * 60;

/// Name look-up, TCP, TLS and CONNECT together; a small board takes seconds for TLS alone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// All that one connection needs to get in.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) settings: BrokerSettings,
    pub(super) address: (String, u16),
    pub(super) client_id: String,
    pub(super) places: PasswordPlaces,
    /// The topic that says `offline` when the board is gone.
    pub(super) will: Option<String>,
    /// Whether the board's own broker is up, if it has one: else there is nothing to connect to.
    pub(super) own_broker: Option<watch::Receiver<bool>>,
    /// Messages that the broker may send before the first is acknowledged.
    pub(super) receive_maximum: u16,
}

impl Login {
    pub(super) fn options(&self) -> MqttOptions {
        let (host, port) = self.address.clone();
        let mut options = MqttOptions::new(self.client_id.clone(), (host.clone(), port));
        let largest = self.settings.max_packet_kib * 1024;
        let properties = ConnectProperties {
            session_expiry_interval: Some(SESSION_EXPIRY_S),
            receive_maximum: Some(self.receive_maximum),
            ..ConnectProperties::new()
        };
        options
            .set_keep_alive(self.settings.keep_alive_s)
            .set_clean_start(false)
            .set_ack_mode(AckMode::Manual)
            .set_connect_timeout(CONNECT_TIMEOUT)
            .set_connect_properties(properties)
            // Announced, so that the broker drops what is larger: read here, it would end the connection again and again.
            .set_max_packet_size(Some(largest))
            // A session that only the broker knows is refused without this, or taken up without the right to publish:
            // the board was off, and its side of the session is empty. It only publishes with QoS 1, where that is safe.
            .set_session_store(NothingBefore)
            // `host:port` in one text, as the default takes it, has no room for IPv6.
            .set_socket_connector(move |_, _| {
                let host = host.clone();
                async move {
                    let stream = tokio::net::TcpStream::connect((host.as_str(), port)).await?;
                    stream.set_nodelay(true)?;
                    Ok(stream)
                }
            });
        if let Some(topic) = &self.will {
            options.set_last_will(LastWill::new(
                topic.clone(),
                "offline",
                QoS::AtLeastOnce,
                true,
                None,
            ));
        }
        options
    }

    /// Waits for the board's own broker; another one is there or is not. Whether it has been away since the last time.
    pub(super) async fn may_connect(&mut self) -> bool {
        let Some(is_up) = &mut self.own_broker else {
            return false;
        };
        let was_away = is_up.has_changed().unwrap_or(false);
        if is_up.wait_for(|is_up| *is_up).await.is_err() {
            // Nobody looks after it any more: it will not come.
            pending::<()>().await;
        }
        was_away
    }

    /// Reads password and certificates anew: they may have been mended or renewed since the last attempt.
    pub(super) fn refresh(&self, options: &mut MqttOptions) -> Result<(), BrokerError> {
        options.set_transport(tls::transport(&self.settings)?);
        match (self.settings.user(), self.places.look()?) {
            (Some(name), Some(password)) => {
                options.set_credentials(name, password.reveal().to_owned());
            }
            (Some(name), None) => {
                options.set_username(name);
            }
            (None, Some(password)) => {
                options.set_password(password.reveal().to_owned());
            }
            (None, None) => {
                options.clear_auth();
            }
        }
        Ok(())
    }
}

/// Remembers that there was nothing: each start of the program begins with an empty side of the session.
#[derive(Debug)]
struct NothingBefore;

type Stored<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

impl SessionStore for NothingBefore {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> Stored<'a, Option<PersistedSession>> {
        let empty = PersistedSession {
            format_version: 1,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: Some(SESSION_EXPIRY_S),
            outgoing_inflight_upper_limit: None,
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(ready(Ok(Some(empty))))
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> Stored<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> Stored<'a, ()> {
        Box::pin(ready(Ok(())))
    }
}
