//! The example as a whole, on small repositories.

#[cfg(test)]
mod history;
#[cfg(test)]
mod in_flight;
#[cfg(test)]
mod mainline;
#[cfg(test)]
mod models;
#[cfg(test)]
mod program;
#[cfg(test)]
mod repository;
#[cfg(test)]
mod store;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod support;
#[cfg(test)]
mod travel;
