"""`python -m minicaffe.pycaffe script.py`: run a script that says `import caffe`, as it is."""

from minicaffe.pycaffe.runner import main

if __name__ == "__main__":
    main()
