//! Given-when-then tests and laws for applications on annals
