"""The nets on which step 12 is checked, in lines that `rules.text_of` makes a definition of."""

FIRST_NETS = {  # what is tried -> nets in lines
    "plain": [
        """data Input: -> x t
        ip InnerProduct: x -> h
        act ReLU: h -> h
        more Power: h -> m
        fin InnerProduct: m -> y
        loss SigmoidCrossEntropyLoss: y t -> L"""],
    "frozen_layers": [
        """data Input: -> x t
        low InnerProduct: x -> a | frozen
        act ReLU: a -> a
        mid InnerProduct: a -> b
        top InnerProduct: b -> c | frozen
        loss SigmoidCrossEntropyLoss: c t -> L""",
        """data Input: -> x
        bias InnerProduct: x -> a | param { lr_mult: 0 }
        act Sigmoid: a -> y""",
        """data Input: -> x
        weights InnerProduct: x -> a | param { lr_mult: 1 } param { lr_mult: 0 }
        act Sigmoid: a -> y""",
        """data Input: -> x
        ip InnerProduct: x -> a | frozen
        act Sigmoid: a -> y"""],
    "several_bottoms": [
        """data Input: -> x t
        ip InnerProduct: x -> h
        sum Eltwise: h t -> y""",
        """data Input: -> x t
        ip InnerProduct: x -> h
        sum Eltwise: t h -> y
        out Sigmoid: y -> p"""],
    "propagate_down": [
        """data Input: -> x t
        ip InnerProduct: x -> h
        fin InnerProduct: h -> y | propagate_down: false""",
        """data Input: -> x t
        ip InnerProduct: x -> h | propagate_down: true""",
        """data Input: -> x
        ip InnerProduct: x -> h
        act Sigmoid: h -> a | propagate_down: false
        more Power: a -> y"""]}
SECOND_NETS = {  # what is tried -> nets in lines
    "plain": [
        """data Input: -> x t
        ip InnerProduct: x -> h
        act ReLU: h -> h
        out Sigmoid: h -> p
        loss SigmoidCrossEntropyLoss: h t -> L""",
        """data Input: -> x t
        ip InnerProduct: x -> h
        loss SigmoidCrossEntropyLoss: h t -> L
        side InnerProduct: x -> m
        out Sigmoid: m -> p""",
        """data Input: -> x t
        low InnerProduct: x -> a | frozen
        loss SigmoidCrossEntropyLoss: a t -> L"""],
    "loss_weights": [
        """data Input: -> x t
        one InnerProduct: x -> a
        lossa SigmoidCrossEntropyLoss: a t -> L | loss_weight: 0
        two InnerProduct: x -> b
        lossb SigmoidCrossEntropyLoss: b t -> M | loss_weight: 0.5""",
        """data Input: -> x
        ip InnerProduct: x -> h
        more Power: h -> m | loss_weight: 0.5""",
        """data Input: -> x
        ip InnerProduct: x -> h
        both Split: h -> u v | loss_weight: 0 loss_weight: 1"""],
    "propagate_down": [
        """data Input: -> x t
        ip InnerProduct: x -> h
        act Sigmoid: h -> a | propagate_down: false
        fin InnerProduct: a -> y
        loss SigmoidCrossEntropyLoss: y t -> L""",
        """data Input: -> x t
        ip InnerProduct: x -> h
        one Sigmoid: h -> a | propagate_down: false
        two Sigmoid: h -> b
        sum Eltwise: a b -> z
        loss SigmoidCrossEntropyLoss: z t -> L"""],
    "in_place": [
        """data Input: -> x t
        ip InnerProduct: x -> h
        act ReLU: h -> h | propagate_down: false
        loss SigmoidCrossEntropyLoss: h t -> L""",
        """data Input: -> x t
        ip InnerProduct: x -> h
        act ReLU: h -> h
        again Sigmoid: h -> h
        loss SigmoidCrossEntropyLoss: h t -> L"""]}
