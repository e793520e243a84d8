//! Where a log on NATS JetStream is, as a text that a person can type.

use std::fmt;
use std::path::PathBuf;

use crate::{Error, ErrorKind};

/// Where a log on NATS JetStream is; see [`StoreAddress`](crate::StoreAddress) for the text. It is shown without a
/// password, a token or parameters.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsAddress {
    /// Host and port of each server to begin with, at least one; the port may be left out.
    pub servers: Vec<String>,
    /// The name of a user, or a token where there is no password.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// The name of the log; `None` for the one that the store has by default.
    pub log: Option<String>,
    /// How many servers keep the log, where it is made; `None` for one.
    pub replicas: Option<usize>,
    /// What is said of the servers' syncs. [`NatsSync::Always`] is taken on trust only where there are no monitoring ports
    /// to ask, and [`NatsSync::Lazy`] refused where there are; `None` with monitoring ports alone.
    pub sync: Option<NatsSync>,
    /// The monitoring ports of the servers, as `http://10.0.0.1:8222`, which are asked whether they sync always.
    pub monitoring: Vec<String>,
    /// A file of credentials, as `nsc` makes them.
    pub credentials: Option<PathBuf>,
    /// Whether the connection has to be encrypted.
    pub tls: bool,
}

/// What is said of servers of NATS that are not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NatsSync {
    /// Every one has `sync_interval: always`.
    Always,
    /// They may sync later, and a loss of power may take the newest appends.
    Lazy,
}

impl NatsAddress {
    /// Takes apart what stands after `nats://`: who, the servers, the log, the parameters.
    pub(crate) fn parse(rest: &str) -> Result<Self, Error> {
        let (base, parameters) = super::address::split_parameters(rest);
        let (who, place) = base.rsplit_once('@').unwrap_or(("", base));
        if who.contains("://") {
            return Err(invalid(
                "several servers are given as nats://user@a:4222,b:4222/log, and % in a password as %25",
            ));
        }
        let (servers, log) = place.split_once('/').unwrap_or((place, ""));
        let mut address = Self {
            servers: servers.split(',').map(str::to_owned).collect(),
            log: (!log.is_empty()).then(|| log.to_owned()),
            ..Self::default()
        };
        if !address.servers.iter().all(|server| is_server(server)) {
            return Err(invalid(
                "no server is named; give it as nats://host:4222/<log>",
            ));
        }
        if !who.is_empty() {
            let (user, password) = match who.split_once(':') {
                Some((user, password)) => (user, Some(decoded(password)?)),
                None => (who, None),
            };
            address.user = Some(decoded(user)?);
            address.password = password;
        }
        for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            address.set(name, value)?;
        }
        Ok(address)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match (name, value) {
            ("sync", "always") => self.sync = Some(NatsSync::Always),
            ("sync", "lazy") => self.sync = Some(NatsSync::Lazy),
            ("tls", "require") => self.tls = true,
            ("monitoring", value) if !value.is_empty() => {
                self.monitoring.extend(value.split(',').map(str::to_owned));
            }
            ("credentials", value) if !value.is_empty() => {
                self.credentials = Some(decoded(value)?.into());
            }
            ("replicas", value) => {
                let replicas = value.parse().map_err(|error| {
                    invalid("`replicas` is no number; give 1, 3 or 5").caused_by(error)
                })?;
                self.replicas = Some(replicas);
            }
            // What is no parameter may be a part of a password, and is not repeated.
            _ => {
                return Err(invalid(
                    "no such parameter, or no such value of one; a log on NATS has sync=always or sync=lazy, \
                     monitoring=http://host:8222, replicas=3, credentials=<file> and tls=require",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(feature = "nats")]
impl NatsAddress {
    /// What opens the log.
    pub(crate) async fn builder(&self) -> Result<crate::NatsStoreBuilder, Error> {
        let servers: Vec<String> = self
            .servers
            .iter()
            .map(|server| format!("nats://{server}"))
            .collect();
        let mut builder = crate::NatsStore::builder(&servers.join(","));
        builder = builder.options(self.options().await?);
        if let Some(log) = &self.log {
            builder = builder.log(log);
        }
        if let Some(replicas) = self.replicas {
            builder = builder.replicas(replicas);
        }
        Ok(match (self.sync, self.monitoring.is_empty()) {
            (None | Some(NatsSync::Always), false) => builder.monitoring(&self.monitoring),
            (Some(NatsSync::Always), true) => builder.assume_synced(),
            (Some(NatsSync::Lazy), true) => builder.allow_lazy_sync(),
            (Some(NatsSync::Lazy), false) => {
                return Err(invalid(
                    "monitoring= asks for what sync=lazy does without; give one of them",
                ));
            }
            (None, true) => {
                return Err(invalid(
                    "it is not said whether the servers sync what they acknowledge; add ?sync=always where every one has \
                     sync_interval: always, ?monitoring=http://host:8222 to ask them, or ?sync=lazy to accept the loss",
                ));
            }
        })
    }

    async fn options(&self) -> Result<crate::nats::async_nats::ConnectOptions, Error> {
        use crate::nats::async_nats::ConnectOptions;
        let mut options = match (&self.user, &self.password) {
            (Some(user), Some(password)) => {
                ConnectOptions::with_user_and_password(user.clone(), password.clone())
            }
            (Some(token), None) => ConnectOptions::with_token(token.clone()),
            (None, _) => ConnectOptions::new(),
        };
        if let Some(file) = &self.credentials {
            options = options.credentials_file(file).await.map_err(|error| {
                invalid("the file of credentials can't be read")
                    .with("file", file.display())
                    .caused_by(error)
            })?;
        }
        Ok(options.require_tls(self.tls))
    }
}

impl fmt::Display for NatsAddress {
    /// As it can be typed, but without a password, a token or parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nats://")?;
        if let (Some(user), Some(_)) = (&self.user, &self.password) {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.servers.join(","))?;
        match &self.log {
            Some(log) => write!(f, "/{log}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for NatsAddress {
    /// As it is displayed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NatsAddress({self})")
    }
}

/// Whether this is a host with or without a port; anything else may be a password whose end is missing.
fn is_server(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, ""),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let host_fits = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_host),
    };
    host_fits && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// The text with `%40` and the like as what they stand for.
fn decoded(text: &str) -> Result<String, Error> {
    let refused = || invalid("a % that no two hexadecimal digits follow; write it as %25");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).ok_or_else(refused)?;
        bytes.push(u8::from_str_radix(code, 16).map_err(|_| refused())?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| refused())
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreAddress;

    fn parsed(text: &str) -> NatsAddress {
        match text.parse().unwrap() {
            StoreAddress::Nats(address) => address,
            other => panic!("{other} is not on NATS"),
        }
    }

    #[test]
    fn an_address_names_servers_a_log_and_how_it_is_kept() {
        let all = "nats://app:p%40ss@a:4222,b/shop?replicas=3&monitoring=http://a:8222,http://b:8222&tls=require";
        let address = parsed(all);
        assert_eq!(address.servers, ["a:4222", "b"]);
        assert_eq!(address.user.as_deref(), Some("app"));
        assert_eq!(address.password.as_deref(), Some("p@ss"));
        assert_eq!(address.log.as_deref(), Some("shop"));
        assert_eq!(address.replicas, Some(3));
        assert_eq!(address.monitoring, ["http://a:8222", "http://b:8222"]);
        assert!(address.tls && address.sync.is_none());
        let address = parsed("nats://h/shop?sync=lazy&credentials=/etc/annals%20app.creds");
        assert_eq!(address.sync, Some(NatsSync::Lazy));
        assert_eq!(
            address.credentials,
            Some(PathBuf::from("/etc/annals app.creds"))
        );
        assert_eq!(parsed("nats://h").log, None);
        assert_eq!(parsed("nats://[::1]:4222/l").servers, ["[::1]:4222"]);
    }

    #[test]
    fn no_secret_is_shown() {
        fn check(text: &str, shown: &str) {
            let address: StoreAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?}").contains("secret"), "{address:?}");
        }
        check(
            "nats://app:secret@h:4222/shop?sync=lazy",
            "nats://app@h:4222/shop",
        );
        check("nats://app:sec?re@secret@h/shop", "nats://app@h/shop");
        check("nats://app:s%2Fec%3Fre@secret@h/shop", "nats://app@h/shop");
        check("nats://secret@h/shop", "nats://h/shop");
        check(
            "nats://h:1,i:2/shop?credentials=secret",
            "nats://h:1,i:2/shop",
        );
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_secrets() {
        fn check(text: &str, expected: &str) {
            let refused = text.parse::<StoreAddress>().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            let refused = format!("{refused} {refused:?}");
            assert!(refused.contains(expected), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
        check("nats://", "no server");
        check("nats:///shop", "no server");
        check("nats://app:secret", "no server");
        check("nats://app:secret@", "no server");
        // A path before a question mark is a log, so in a password it is written as %2F.
        check("nats://app:s/ec?re@secret@h/shop", "no server");
        check(
            "nats://app:secret@a,nats://app:secret@b/shop",
            "several servers",
        );
        check("nats://app:secret%zz@a/shop", "%25");
        check("nats://h/shop?secret", "no such parameter");
        check("nats://h/shop?sync=secret", "no such parameter");
        check("nats://h/shop?replicas=many", "no number");
        check("nats:h", "no such kind");
    }
}
