"""One module per kind of data set; `avscli.datasets.registry` names them."""
