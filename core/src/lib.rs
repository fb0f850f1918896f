//! The pure core of Quorate: one machine of inputs and effects.
//!
//! `replica.step(now, input, &mut effects)` is the whole of it. Time, randomness, bytes from disk
//! and from the network are inputs; what should happen in the world comes out as [`Effect`]s.
//! Nothing here can do I/O, read a clock or draw a random number, so the same inputs give the same
//! effects on every machine and in every simulation. The crate is `no_std`: the compiler proves it.

#![no_std]

extern crate alloc;

mod consensus;
mod digest;
pub mod effect;
pub mod event;
pub mod id;
pub mod input;
pub mod item;
pub mod limits;
pub mod log;
pub mod member;
pub mod message;
pub mod mutant;
pub mod notice;
mod random;
pub mod recording;
mod replica;
pub mod request;
pub mod store;
pub mod time;
pub mod timing;

pub use consensus::PeerProgress;
pub use effect::{Effect, Effects};
pub use input::Input;
pub use limits::Limits;
pub use replica::{PeerView, Replica, RoleView, View};
