//! Whatever is asked gets an answer, with bitcoind's numbers where it is no.

use serde_json::json;

use super::*;

const NOW_S: u64 = 1_800_000_000;
const ADDRESS: &str = "bcrt1qft5p2uhsdcdc3l2ua4ap5qqfg4pjaqlp250x7us7a8qqhrxrxfsqseac85";

fn kept() -> Kept {
    Kept::open(None).unwrap()
}

fn ask(kept: &Kept, method: &str, params: Value) -> Result<Value, i64> {
    let request = json!({ "method": method, "params": params, "id": "1" });
    let (status, reply) = answer(kept, request.to_string().as_bytes(), NOW_S);
    assert_eq!(reply["id"], json!("1"));
    match reply["error"]["code"].as_i64() {
        None => {
            assert_eq!(status, 200);
            Ok(reply["result"].clone())
        }
        Some(code) => {
            assert_ne!(status, 200);
            Err(code)
        }
    }
}

#[test]
fn blocks_are_made_found_and_undone() {
    let kept = kept();
    let made = ask(&kept, "generatetoaddress", json!([3, ADDRESS])).unwrap();
    assert_eq!(made.as_array().unwrap().len(), 3);
    assert_eq!(ask(&kept, "getblockcount", json!([])), Ok(json!(3)));
    let info = ask(&kept, "getblockchaininfo", json!([])).unwrap();
    assert_eq!((&info["blocks"], &info["bestblockhash"]), (&json!(3), &made[2]));
    let header = ask(&kept, "getblockheader", json!([made[1]])).unwrap();
    assert_eq!((&header["height"], &header["confirmations"]), (&json!(2), &json!(2)));
    assert_eq!((&header["previousblockhash"], &header["nextblockhash"]), (&made[0], &made[2]));
    assert_eq!(header["chainwork"], json!(format!("{:064x}", 6)));
    assert_eq!(ask(&kept, "invalidateblock", json!([made[1]])), Ok(Value::Null));
    assert_eq!(ask(&kept, "getbestblockhash", json!([])), Ok(made[0].clone()));
    let stale = ask(&kept, "getblockheader", json!([made[2]])).unwrap();
    assert_eq!(stale["confirmations"], json!(-1));
    let coins = ask(&kept, "gettxoutsetinfo", json!([])).unwrap();
    assert_eq!((&coins["txouts"], &coins["total_amount"]), (&json!(1), &json!(50.0)));
}

#[test]
fn a_number_says_what_is_wrong() {
    let kept = kept();
    let unknown = "11".repeat(32);
    for (method, params, code) in [
        ("nothing", json!([]), CODE_NO_METHOD),
        ("getblockhash", json!([]), CODE_MISC),
        ("getblockhash", json!(["1"]), CODE_TYPE),
        ("getblockhash", json!([1]), CODE_VALUE),
        ("getblockhash", json!([-1]), CODE_VALUE),
        ("getblock", json!(["zz"]), CODE_VALUE),
        ("getblock", json!([unknown]), CODE_NOT_FOUND),
        ("getblockheader", json!([unknown]), CODE_NOT_FOUND),
        ("getmempoolentry", json!([unknown]), CODE_NOT_FOUND),
        ("getrawtransaction", json!([unknown]), CODE_NOT_FOUND),
        ("invalidateblock", json!([unknown]), CODE_NOT_FOUND),
        ("sendrawtransaction", json!(["00"]), CODE_DECODE),
        ("generatetoaddress", json!([1, "nowhere"]), CODE_NOT_FOUND),
        ("generatetoaddress", json!([1_000_000, ADDRESS]), CODE_VALUE),
        ("getblockcount", json!({ "name": 1 }), CODE_VALUE),
    ] {
        let asked = format!("{method} {params}");
        assert_eq!(ask(&kept, method, params), Err(i64::from(code)), "{asked}");
    }
    let genesis = ask(&kept, "getblockhash", json!([0])).unwrap();
    assert_eq!(ask(&kept, "invalidateblock", json!([genesis])), Err(i64::from(CODE_VALUE)));
}

#[test]
fn version_two_is_answered_as_version_two() {
    let request = json!({ "jsonrpc": "2.0", "method": "nothing", "id": 7 });
    let (status, reply) = answer(&kept(), request.to_string().as_bytes(), NOW_S);
    assert_eq!((status, &reply["jsonrpc"], &reply["id"]), (200, &json!("2.0"), &json!(7)));
    assert!(reply.get("result").is_none());
    assert_eq!(reply["error"]["code"], json!(CODE_NO_METHOD));
}

#[test]
fn whatever_is_sent_gets_an_answer() {
    let kept = kept();
    for (body, status, code) in [
        ("", 500, CODE_PARSE),
        ("{", 500, CODE_PARSE),
        ("[]", 400, CODE_INVALID_REQUEST),
        ("1", 400, CODE_INVALID_REQUEST),
        ("{}", 400, CODE_INVALID_REQUEST),
        (r#"{"method":1}"#, 400, CODE_INVALID_REQUEST),
    ] {
        let (answered, reply) = answer(&kept, body.as_bytes(), NOW_S);
        assert_eq!((answered, &reply["error"]["code"]), (status, &json!(code)), "{body}");
    }
    let values = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(4_294_967_296_u64),
        json!(0.5),
        json!(""),
        json!("ff".repeat(32)),
        json!([]),
        json!({}),
    ];
    for method in [
        "getblockchaininfo",
        "getbestblockhash",
        "getblockcount",
        "getblockhash",
        "getblockheader",
        "getblock",
        "getrawtransaction",
        "gettxout",
        "gettxoutsetinfo",
        "getmempoolinfo",
        "getrawmempool",
        "getmempoolentry",
        "getnetworkinfo",
        "estimatesmartfee",
        "sendrawtransaction",
        "generatetoaddress",
        "invalidateblock",
    ] {
        for first in &values {
            for second in &values {
                let known = ask(&kept, method, json!([first, second, second]));
                assert_ne!(known, Err(i64::from(CODE_NO_METHOD)), "{method}");
            }
        }
    }
}

#[test]
fn what_is_kept_is_there_again_and_what_was_cut_short_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Kept::open(Some(folder.path()));
    let tip = {
        let kept = open().unwrap();
        assert!(open().is_err(), "one process at a time");
        ask(&kept, "generatetoaddress", json!([5, ADDRESS])).unwrap();
        let third = ask(&kept, "getblockhash", json!([3])).unwrap();
        ask(&kept, "invalidateblock", json!([third])).unwrap();
        ask(&kept, "generatetoaddress", json!([2, ADDRESS])).unwrap();
        ask(&kept, "getbestblockhash", json!([])).unwrap()
    };
    let file = folder.path().join("chain.log");
    let whole = std::fs::read(&file).unwrap();
    assert_eq!(ask(&open().unwrap(), "getbestblockhash", json!([])), Ok(tip.clone()));
    std::fs::write(&file, [&whole[..], &whole[30..60]].concat()).unwrap();
    assert_eq!(ask(&open().unwrap(), "getbestblockhash", json!([])), Ok(tip));
    assert_eq!(std::fs::read(&file).unwrap(), whole);
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(ask(&open().unwrap(), "getblockcount", json!([])), Ok(json!(3)));
    let mut damaged = whole.clone();
    damaged[200] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    assert!(open().unwrap_err().to_string().contains("damaged"));
    std::fs::write(&file, "something else").unwrap();
    assert!(open().unwrap_err().to_string().contains("no chain"));
}
