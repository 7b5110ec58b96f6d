//! The board on the broker: topics, payloads, Home Assistant, and a connection that comes back.

mod settings;

pub use settings::BrokerSettings;
