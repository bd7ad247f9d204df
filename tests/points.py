"""A net small enough for every test of the command line: six points, one InnerProduct, one loss."""

NET = """\
name: "points"
layer { name: "data" type: "DummyData" top: "x" top: "t"
        dummy_data_param { shape { dim: 6 dim: 3 } shape { dim: 6 dim: 2 }
                           data_filler { type: "gaussian" } data_filler { value: 0.5 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "t" top: "loss" }
"""
