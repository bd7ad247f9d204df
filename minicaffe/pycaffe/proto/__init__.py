"""Home of `caffe_pb2`, where Caffe has it: `from caffe.proto import caffe_pb2`."""
