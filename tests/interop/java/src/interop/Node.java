package interop;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A value with nesting, and with cycles when a child knows its parent. */
public class Node implements Serializable {
    private static final long serialVersionUID = 1L;

    private String name;
    private int number;
    private Long boxed;
    private Node parent;
    private List<Node> children = new ArrayList<>();
    private Map<String, String> labels;

    public Node() {}

    public Node(String name, int number, Long boxed) {
        this.name = name;
        this.number = number;
        this.boxed = boxed;
    }

    public String getName() {
        return name;
    }

    public void setName(String name) {
        this.name = name;
    }

    public int getNumber() {
        return number;
    }

    public void setNumber(int number) {
        this.number = number;
    }

    public Long getBoxed() {
        return boxed;
    }

    public void setBoxed(Long boxed) {
        this.boxed = boxed;
    }

    public Node getParent() {
        return parent;
    }

    public void setParent(Node parent) {
        this.parent = parent;
    }

    public List<Node> getChildren() {
        return children;
    }

    public void setChildren(List<Node> children) {
        this.children = children;
    }

    public Map<String, String> getLabels() {
        return labels;
    }

    public void setLabels(Map<String, String> labels) {
        this.labels = labels;
    }
}
