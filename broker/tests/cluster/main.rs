//! A broker over members in memory that can be down, slow, stale or silent.

mod commands;
mod deadlines;
mod first_placement;
mod headless;
mod health;
mod leaving;
mod lines;
mod load;
mod member;
mod process;
mod program;
mod pushes;
mod reads;
mod room;
mod scans;
mod slow_clients;
mod support;
mod writes;
