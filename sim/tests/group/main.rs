//! Groups of three real processes, on real disks, over real sockets, with real signals: what clients
//! saw and what the three logs hold at the end are judged by the simulator's oracle.
//!
//! Every test ends only the processes that it has started, by their ids, waits for what happens
//! instead of for time to pass, and prints the seed that its workload comes from.

mod catching_up;
mod certificates;
mod commands;
mod folders;
mod group;
mod history;
mod kills;
mod logs;
mod lost_answers;
mod pauses;
mod process;
mod raw;
mod recordings;
mod rot;
mod strangers;
mod subscriptions;
mod workload;
