//! The node: the shell that carries out what the core decides, and the `quorate` program.

pub mod admin;
pub mod cli;
pub mod config;
pub mod driver;
pub mod engine;
pub mod gateway;
pub mod listener;
pub mod logger;
pub mod peers;
pub mod recorder;
pub mod rfc3339;
pub mod serve;
pub(crate) mod watch;
