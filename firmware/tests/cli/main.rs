//! Drives the real binary as a script or a person would: flags, files, standard streams, signals, a terminal.

mod bench;
mod doctor;
mod documents;
mod hostile;
mod hub;
mod importing;
mod lexicon;
mod memory;
mod models;
mod outputs;
mod painting;
mod pictures;
mod report;
mod requests;
mod secrets;
mod signals;
mod support;
mod terminal;
