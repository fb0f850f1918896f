//! Scenarios as a person meets them: the catalogue, runs that fail, and what can be done with their
//! folders. The whole catalogue runs in CI, in a quick build; here are a few of it.

mod catalogue;
mod failing;
mod program;
