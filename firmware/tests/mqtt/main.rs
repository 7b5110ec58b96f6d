//! The board's client against a real Mosquitto, on free ports and in temporary folders.
//!
//! Waits are for conditions, with deadlines that only a hung machine reaches.

#![allow(
    clippy::result_large_err,
    reason = "an event that was not asked for is handed back"
)]

mod board;
mod broker;
mod connection;
mod dashboard;
mod disturbed;
mod doctor;
mod documents;
mod doors;
mod fleet;
mod proxy;
mod threads;
