//! The board's client against a real Mosquitto, on free ports and in temporary folders.
//!
//! Waits are for conditions, with deadlines that only a hung machine reaches.

mod board;
mod broker;
mod connection;
mod dashboard;
mod disturbed;
mod documents;
mod doors;
mod fleet;
mod proxy;
