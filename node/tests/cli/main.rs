//! The `quorate` program as a user meets it: real processes, real ports, homes of their own.

mod certs;
mod events;
mod home;
mod imports;
mod offline;
