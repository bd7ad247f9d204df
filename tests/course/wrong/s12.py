"""Mistakes of step 12, the backward plan."""

from course_tools import Variant

FILE = "my_caffe/backward_plan.py"
LEARNS = '[k >= len(messages) or one(messages[k], "lr_mult", 1) != 0 for k in range(count)]'
BEHIND = '[name in wanted for name in definition.get("bottom", [])]'
FLAGS = 'propagate_down.append(list(definition.get("propagate_down", behind)))'
RUNS = "runs.append(any(behind) or any(learns(definition, len(layer.blobs))))"
REACHED = "any(net.loss_weights[i]) or any(name in arrives for name in tops)"
IDLE = "            runs[i], propagate_down[i] = False, [False] * len(bottoms)\n"
ARRIVES = "        arrives.update(name for name, flag in zip(bottoms, propagate_down[i], strict=True) if flag)\n"
INIT = "        super().__init__(definition)\n        self.runs, self.propagate_down = plan(self)"
LEARNED = "for blob, does in zip(layer.blobs, learns(definition, len(layer.blobs)), strict=True) if does]"
WRONG = [
    Variant("no message means frozen", FILE, LEARNS, LEARNS.replace("k >= len(messages) or", "k < len(messages) and"),
            "no_message_means_frozen"),
    Variant("no lr_mult means frozen", FILE, LEARNS, LEARNS.replace(", 1)", ", 0)"), "no_rate_means_frozen"),
    Variant("the first message for all blobs", FILE, LEARNS, '[not messages or one(messages[0], "lr_mult", 1) != 0 '
            'for k in range(count)]', "one_for_all_blobs"),
    Variant("a bool for each message", FILE, LEARNS, '[one(message, "lr_mult", 1) != 0 for message in messages] or '
            '[True] * count', "message_for_all_blobs"),
    Variant("learns as a single bool", FILE, LEARNS, f"any({LEARNS})", "no_list"),
    Variant("all flags of a layer that runs", FILE, f"        {FLAGS}\n        {RUNS}\n", f"        {RUNS}\n        "
            "propagate_down.append([runs[-1]] * len(behind))\n", "flags_as_runs"),
    Variant("layers run for their weights alone", FILE, RUNS, RUNS.replace("any(behind) or ", ""),
            "runs_for_its_weights_alone"),
    Variant("no top is noted", FILE, '            wanted.update(definition.get("top", []))\n', "            pass\n",
            "tops_not_noted"),
    Variant("the bottoms are noted", FILE, 'wanted.update(definition.get("top", []))', 'wanted.update(definition.get('
            '"bottom", []))', "tops_not_noted"),
    Variant("all of no bottoms", FILE, RUNS, RUNS.replace("any(behind)", "all(behind)"), "all_of_nothing"),
    Variant("all of no blobs", FILE, RUNS, RUNS.replace("any(learns", "all(learns"), "all_of_nothing"),
    Variant("frozen layers hand nothing on", FILE, "        if runs[-1]:", "        if any(learns(definition, "
            "len(layer.blobs))):", "not_passed_on"),
    Variant("layers with blobs learn", FILE, RUNS, RUNS.replace("any(learns(definition, len(layer.blobs)))",
                                                               "len(layer.blobs) > 0"), "frozen_counts"),
    Variant("one frozen blob freezes the layer", FILE, RUNS, RUNS.replace(
        "any(learns(definition, len(layer.blobs)))", "(layer.blobs != [] and all(learns(definition, "
        "len(layer.blobs))))"), "one_frozen_blob_freezes_all"),
    Variant("the first blob is asked", FILE, RUNS, RUNS.replace("any(learns(definition, len(layer.blobs)))",
                                                               "any(learns(definition, len(layer.blobs))[:1])"),
            "first_blob_alone"),
    Variant("all bottoms must be wanted", FILE, RUNS, RUNS.replace("any(behind)", "(behind != [] and all(behind))"),
            "all_bottoms_asked"),
    Variant("the first bottom is asked", FILE, RUNS, RUNS.replace("any(behind)", "any(behind[:1])"),
            "first_bottom_alone"),
    Variant("propagate_down is not read", FILE, FLAGS, "propagate_down.append(behind)", "propagate_down_not_read"),
    Variant("propagate_down only takes away", FILE, FLAGS, 'propagate_down.append([a and b for a, b in zip('
            'definition.get("propagate_down", behind), behind)])', "propagate_down_only_takes_away"),
    Variant("propagate_down decides what runs", FILE, RUNS, RUNS.replace("any(behind)", "any(propagate_down[-1])"),
            "flags_decide_runs"),
    Variant("a flag for each layer", FILE, FLAGS, "propagate_down.append(any(behind))", "no_pair"),
    Variant("losses alone run", FILE, REACHED, "any(net.loss_weights[i])", "nothing_under_losses"),
    Variant("a λ and a gradient from above", FILE, REACHED, REACHED.replace(" or ", " and "), "both_asked"),
    Variant("the second sweep from the front", FILE, "in reversed(range(len(runs)))", "in range(len(runs))",
            "nothing_under_losses"),
    Variant("layers that do not run keep their flags", FILE, IDLE, "            runs[i] = False\n" + ARRIVES.replace(
        "        arrives", "            continue\n        arrives").split("\n")[0] + "\n", "flags_kept"),
    Variant("the type for the weight", FILE, REACHED, REACHED.replace(
        "any(net.loss_weights[i])", 'net.definitions[i]["type"][0].endswith("Loss")'), "type_for_weight"),
    Variant("the first λ alone", FILE, REACHED, REACHED.replace("any(net.loss_weights[i])",
                                                               "any(net.loss_weights[i][:1])"), "first_weight_alone"),
    Variant("gradients arrive at all bottoms", FILE, ARRIVES, "        if runs[i]:\n            "
            "arrives.update(bottoms)\n", "flags_not_asked"),
    Variant("layers that do not run hand gradients down", FILE, "        if not (runs[i] and reached):\n", ARRIVES +
            "        if not (runs[i] and reached):\n", "idle_layers_hand_down"),
    Variant("tops stay in the set", FILE, "        arrives.difference_update(tops)\n", "", "names_in_place"),
    Variant("the tops are taken out too late", FILE, "        arrives.difference_update(tops)\n        if not (runs[i] "
            "and reached):\n" + IDLE + ARRIVES, "        if not (runs[i] and reached):\n" + IDLE + ARRIVES +
            "        arrives.difference_update(tops)\n", "tops_taken_out_too_late"),
    Variant("a gradient at every top", FILE, REACHED, REACHED.replace("any(name in arrives for name in tops)",
                                                                     "(tops != [] and all(name in arrives for name in "
                                                                     "tops))"), "all_tops_asked"),
    Variant("the first sweep is forgotten", FILE, "        if not (runs[i] and reached):\n", "        runs[i] = "
            "reached\n        if not reached:\n", "first_sweep_forgotten"),
    Variant("the given lists are changed", FILE, "arrives, runs, propagate_down = set(), list(runs), [list(flags) for "
            "flags in propagate_down]", "arrives = set()", "given_lists_changed"),
    Variant("the first sweep alone", FILE, "only_under_loss(net, *from_params(net))", "from_params(net)",
            "second_sweep_not_run"),
    Variant("the plan before the net", FILE, INIT, INIT.replace(" = plan(self)", " = plan(Net(definition))").replace(
        "        super().__init__(definition)\n", "") + "\n        super().__init__(definition)", "plan_not_kept"),
    Variant("all blobs are learned", FILE, LEARNED, LEARNED.replace(" if does", ""), "all_params"),
    Variant("learned asks for the layer", FILE, LEARNED, "for blob in layer.blobs if all(learns(definition, "
            "len(layer.blobs)))]", "whole_layer_frozen"),
    Variant("the frozen blobs for the learned", FILE, LEARNED, LEARNED.replace("if does", "if not does"),
            "frozen_for_learned"),
]
