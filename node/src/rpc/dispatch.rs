//! JSON-RPC of the dispatcher: `dispatch.list`, which only reads, and `dispatch.override` and
//! `dispatch.shed`, which switch machines; `dispatch.warm` takes a thermometer's word.
//! Not for: the shapes of the answers ([`crate::dispatcher`]).

use boltgrid_miners::heat::Temperatures;
use boltgrid_miners::machine::SetPoint;
use boltgrid_protocol::units::Power;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;

use super::Answers;
use super::code::Code;
use crate::dispatcher::{DispatchStatus, Refused};

/// How the machines are.
#[rpc(server, client, namespace = "dispatch", namespace_separator = ".")]
pub trait DispatchListRpc {
    /// The machines with their break-evens in parts, what they are to do and why, and the latest
    /// decisions, at most 200.
    #[method(name = "list")]
    async fn list(&self) -> RpcResult<DispatchStatus>;
}

/// What the owner decides.
#[rpc(server, client, namespace = "dispatch", namespace_separator = ".")]
pub trait DispatchRpc {
    /// Has a machine draw so much, 0 for off, for a while; with no power it does what the plan says.
    #[method(name = "override")]
    async fn decide(&self, machine: String, power_w: Option<u32>, for_s: u32) -> RpcResult<()>;

    /// Has all machines stop for a while; 0 ends that.
    #[method(name = "shed")]
    async fn shed(&self, for_s: u32) -> RpcResult<()>;

    /// Takes a thermometer's word, in thousandths of a degree Celsius, for how warm a place is and
    /// how warm it is outside; it is believed for a quarter of an hour.
    #[method(name = "warm")]
    async fn warm(
        &self,
        place: String,
        inside_m_celsius: Option<i32>,
        outside_m_celsius: Option<i32>,
    ) -> RpcResult<()>;
}

#[async_trait]
impl DispatchListRpcServer for Answers {
    async fn list(&self) -> RpcResult<DispatchStatus> {
        Ok(DispatchStatus::clone(&self.dispatch.status()))
    }
}

#[async_trait]
impl DispatchRpcServer for Answers {
    async fn decide(&self, machine: String, power_w: Option<u32>, for_s: u32) -> RpcResult<()> {
        let set_point = power_w.map(|watts| match watts {
            0 => SetPoint::Off,
            watts => SetPoint::Run { power_mw: Power::from_milliwatts(i64::from(watts) * 1_000) },
        });
        let for_ms = u64::from(for_s) * 1_000;
        self.dispatch.decide(machine, set_point, for_ms).await.map_err(refused)
    }

    async fn shed(&self, for_s: u32) -> RpcResult<()> {
        self.dispatch.shed(u64::from(for_s) * 1_000).await.map_err(refused)
    }

    async fn warm(
        &self,
        place: String,
        inside_m_celsius: Option<i32>,
        outside_m_celsius: Option<i32>,
    ) -> RpcResult<()> {
        let seen = Temperatures { inside_m_celsius, outside_m_celsius };
        self.dispatch.warm(place, seen).await.map_err(refused)
    }
}

fn refused(why: Refused) -> ErrorObjectOwned {
    let code = match why {
        Refused::Unknown(_) | Refused::NoPlace(_) => Code::NotFound,
        Refused::Unable { .. } => Code::NotDone,
        Refused::Time | Refused::Temperature => Code::BadParameter,
        Refused::Stopping => Code::Busy,
    };
    code.because(why.to_string())
}
