//! `quorate serve` as people run it: real processes, real sockets on free ports of loopback, real
//! files. What can be shown without them is shown in the other tests.

mod http;
mod process;
mod refusals;
mod store;
