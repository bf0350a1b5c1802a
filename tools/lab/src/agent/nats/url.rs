//! Where a NATS server is, as people write it: `nats://user:password@host:4222`, `nats://token@host`, or `host`.

use super::protocol::Credentials;

/// The port where none is said.
const PORT: u16 = 4_222;

/// A server's place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NatsUrl {
    /// Its name or address; an IPv6 one without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who calls.
    pub credentials: Credentials,
}

impl NatsUrl {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = match text.split_once("://") {
            None => text,
            Some(("nats", rest)) => rest,
            Some(("tls" | "wss", _)) => return Err("TLS is not spoken here: use a tunnel, and nats://".to_owned()),
            Some((scheme, _)) => return Err(format!("`{scheme}` is no NATS: nats://HOST:PORT")),
        };
        let rest = rest.trim_end_matches('/');
        let (who, place) = rest.rsplit_once('@').map_or((None, rest), |(who, place)| (Some(who), place));
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or("an address in brackets has no end")?;
                let port = after.strip_prefix(':');
                if port.is_none() && !after.is_empty() {
                    return Err("behind an address in brackets comes a port: nats://[ADDRESS]:PORT".to_owned());
                }
                (host, port)
            }
            None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() || host.contains(|one: char| one.is_whitespace() || "[]".contains(one)) {
            return Err("a host is missing: nats://HOST:PORT".to_owned());
        }
        let port = port.map_or(Ok(PORT), str::parse).map_err(|_| "the port is a number up to 65535".to_owned())?;
        let credentials = who.map(credentials).transpose()?.unwrap_or_default();
        Ok(Self { host: host.to_owned(), port, credentials })
    }
}

/// Who calls, as the URL or a file says it: `user:password`, or a token.
///
/// # Errors
/// It is empty, or more than a line.
pub fn credentials(text: &str) -> Result<Credentials, String> {
    let text = text.trim();
    if text.is_empty() || text.contains(['\n', '\r']) {
        return Err("one line is expected: user:password, or a token".to_owned());
    }
    Ok(match text.split_once(':') {
        Some((user, secret)) => Credentials { user: Some(user.to_owned()), secret: Some(secret.to_owned()) },
        None => Credentials { user: None, secret: Some(text.to_owned()) },
    })
}

impl std::fmt::Display for NatsUrl {
    /// Without whoever calls.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "nats://[{host}]:{port}") } else { write!(f, "nats://{host}:{port}") }
    }
}
