"""The fields of SolverParameter, in the order of protos/caffe.proto, and what is done with those of forks."""

from rows import ALLOWED, ERROR, WARNING, Row

STEP = 'lr_policy: "step" stepsize: 1 gamma: 0.5'
TESTED = "test_iter: 1 test_interval: 1"
ADAM = 'type: "Adam" momentum: 0.9'
PLATEAU = 'lr_policy: "plateau" gamma: 0.5 plateau_patience: 1'

ROWS = [
    # --- nets -----------------------------------------------------------------------------------------------
    Row("train_net", "an empty name is no file", empty=ERROR),
    Row("test_net", "an empty name is no file", empty=ERROR, context=TESTED,
        alone=(ERROR, 'test_net: "a.prototxt"')),
    Row("train_net_param", "a net"),
    Row("test_net_param", "a net; each needs its test_iter", alone=(ERROR, "test_net_param { }")),
    Row("net", "an empty name is no file", empty=ERROR),
    Row("net_param", "a net"),
    Row("train_state", "a state to build the train net in"),
    Row("test_state", "one a test net, or none", alone=(ERROR, "test_state { }")),

    # --- tests ----------------------------------------------------------------------------------------------
    Row("test_iter", "Caffe's users write 0 to switch tests off; -1 looks like 'all', and Caffe tests nothing",
        zero=WARNING, negative=ERROR, context="test_interval: 1", alone=(ERROR, "test_iter: 1"),
        missing=(WARNING, "test_interval: 1")),
    Row("test_interval", "0 is the default; without test_iter nothing is tested, and Caffe does not say so",
        zero=ALLOWED, negative=ERROR, alone=(WARNING, "test_interval: 1")),
    Row("test_compute_loss", "there is no test whose loss it could print",
        alone=(WARNING, "test_compute_loss: true")),
    Row("test_initialization", "where nothing is tested, nothing is tested at the beginning either",
        alone=(ALLOWED, "test_initialization: false")),
    Row("test_iter_auto", "the train net's file serves", alone=(ERROR, "test_iter_auto: true")),

    # --- the learning rate ------------------------------------------------------------------------------------
    Row("base_lr", "0 is Caffe's default and serves to look at a net; below 0 the loss is climbed", zero=WARNING,
        negative=ERROR, nan=ERROR, inf=ERROR, missing=(WARNING, 'lr_policy: "fixed"')),
    Row("lr_policy", "an unknown policy; without one Caffe fails at the first update, and so do we",
        empty=ERROR, missing=(ERROR, "base_lr: 0.1")),
    Row("gamma", "0 is Caffe's default: the rate falls to 0, or stands still", zero=WARNING, negative=ERROR,
        nan=ERROR, inf=ERROR, context='lr_policy: "step" stepsize: 1', alone=(WARNING, 'lr_policy: "fixed" gamma: 0.5'),
        missing=(WARNING, 'lr_policy: "exp"')),
    Row("power", "0 is Caffe's default: the rate stands still; below 0 it grows, as a warm-up may", zero=WARNING,
        negative=WARNING, nan=ERROR, inf=ERROR, context='lr_policy: "inv" gamma: 0.1',
        alone=(WARNING, "power: 0.75"), missing=(WARNING, 'lr_policy: "poly" max_iter: 9')),
    Row("stepsize", "iterations are divided by it", zero=ERROR, negative=ERROR,
        context='lr_policy: "step" gamma: 0.5', alone=(WARNING, "stepsize: 5"),
        missing=(ERROR, 'lr_policy: "step" gamma: 0.5')),
    Row("stepvalue", "a step at iteration 0 is one; there are none before", zero=ALLOWED, negative=ERROR,
        context='lr_policy: "multistep" gamma: 0.5', alone=(WARNING, "stepvalue: 5"),
        missing=(WARNING, 'lr_policy: "multistep" gamma: 0.5')),
    Row("warmup_iter", "0 is no warm-up", zero=ALLOWED, negative=ERROR, alone=(ALLOWED, "warmup_iter: 5")),
    Row("warmup_start_lr", "0 is the default; there is no warm-up that it could begin", zero=ALLOWED,
        negative=ERROR, nan=ERROR, inf=ERROR, context="warmup_iter: 5", alone=(ERROR, "warmup_start_lr: 0.1")),
    Row("plateau_patience", "a plateau has a length", zero=ERROR, negative=ERROR,
        context='lr_policy: "plateau" gamma: 0.5', alone=(WARNING, "plateau_patience: 5"),
        missing=(ERROR, 'lr_policy: "plateau" gamma: 0.5')),
    Row("plateau_metric", "empty is the smoothed loss", empty=ALLOWED, context=PLATEAU,
        alone=(WARNING, 'plateau_metric: "loss:min"')),

    # --- the update ---------------------------------------------------------------------------------------------
    Row("momentum", "from 1 on past steps never fade", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR,
        missing=(WARNING, 'type: "AdaDelta"')),
    Row("weight_decay", "below 0 weights grow without limit", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR,
        missing=(WARNING, 'regularization_type: "L1"')),
    Row("regularization_type", "L1 or L2; L1 without weight_decay asks for what does not happen", empty=ERROR,
        alone=(WARNING, 'regularization_type: "L1"')),
    Row("delta", "0 divides 0 by 0 where a gradient has always been 0; below 0 it makes roots of negative numbers",
        zero=WARNING, negative=ERROR, nan=ERROR, inf=ERROR, context=ADAM, alone=(WARNING, "delta: 0.1")),
    Row("rms_decay", "a share", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR, context='type: "RMSProp"',
        alone=(WARNING, "rms_decay: 0.9")),
    Row("momentum2", "a share", zero=ALLOWED, negative=ERROR, nan=ERROR, inf=ERROR, context=ADAM,
        alone=(WARNING, "momentum2: 0.9")),
    Row("clip_gradients", "0 makes every gradient 0, where 'no clipping' is meant; negative never clips, as Caffe's "
        "default, and infinity neither", zero=ERROR, negative=ALLOWED, nan=ERROR, inf=ALLOWED),
    Row("iter_size", "an update needs a pass", zero=ERROR, negative=ERROR),
    Row("shards", "a power of two; 0 is not one", zero=ERROR, negative=ERROR),
    Row("type", "there is no such solver", empty=ERROR),
    Row("solver_type", "the old form of type", alone=(WARNING, "solver_type: ADAM")),

    # --- length and log -----------------------------------------------------------------------------------------
    Row("max_iter", "0 updates: the tests and the snapshot alone", zero=ALLOWED, negative=ERROR,
        missing=(ERROR, 'lr_policy: "poly" power: 1')),
    Row("max_epoch", "0 counts none: max_iter does", zero=ALLOWED, negative=ERROR, alone=(ERROR, "max_epoch: 1")),
    Row("display", "0 is none; Caffe takes -1 for every iteration, where none is meant", zero=ALLOWED,
        negative=ERROR),
    Row("average_loss", "a mean of none", zero=ERROR, negative=ERROR),
    Row("debug_info", "it prints with a line of the log", alone=(WARNING, "debug_info: true display: 0")),
    Row("random_seed", "-1 is a new seed each run, as documented", zero=ALLOWED, negative=ALLOWED),

    # --- snapshots ----------------------------------------------------------------------------------------------
    Row("snapshot", "0 is none but the last; Caffe takes -1 for every iteration, where none is meant", zero=ALLOWED,
        negative=ERROR, alone=(ERROR, "snapshot: 1")),
    Row("snapshot_prefix", "files are then called _iter_N", empty=ALLOWED),
    Row("snapshot_diff", "a choice"),
    Row("snapshot_after_train", "a choice"),
    Row("snapshot_format", "a choice"),
    Row("weights", "an empty name is no file", empty=ERROR),

    # --- devices ------------------------------------------------------------------------------------------------
    Row("solver_mode", "minicaffe has no GPU; one notice for both", alone=(WARNING, "solver_mode: GPU")),
    Row("device_id", "a GPU's number", zero=WARNING, negative=WARNING),
    Row("layer_wise_reduce", "how several processes exchange gradients, which a file says for any number of them",
        alone=(ALLOWED, "layer_wise_reduce: false")),
]

# A fork's field, set to another value than its default: refused where it changes the updates, left aside without a word
# where it says how a fork computes, and else without effect, which is said.
OF_FORKS = {
    ERROR: "plateau_winsize rampup_interval rampup_lr min_lr momentum_policy weight_decay_policy larc disabled_update "
           "local_lr_auto lr_dropout amsgrad rectified gc adabelief lookahead",
    WARNING: "eval_type ap_version show_per_class_result stagelr stageiter stepearly solver_data_type max_momentum "
             "momentum_power weight_decay_power max_weight_decay larc_policy larc_eta larc_turbo "
             "test_and_snapshot_last_epochs local_gw_ratio test_offset decoupled_wd_t0 decoupled_wd_mult lr_mult "
             "p_mult period lookahead_steps lookahead_alpha richness",
    ALLOWED: "store_blobs_in_old_format engine group_id per_parameter_reduce",
}
