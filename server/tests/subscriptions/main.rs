//! Subscriptions against the real engine: what clients and webhook receivers see.

mod links;
mod pull_wake;
mod refusals;
mod restart;
mod store_failure;
mod webhook;
mod world;
