//! The gateway with the real client, and with clients that misbehave: whole nodes on a simulated
//! disk and a network in memory, by tokio's paused clock.

mod bad_clients;
mod calls;
mod node;
mod subscriptions;
